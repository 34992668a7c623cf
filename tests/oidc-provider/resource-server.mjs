// A resource server that tells the length and the SHA-256 of what it was sent, to whoever has a valid token and,
// where the token is bound to a key or a certificate, shows that it has it.
import { createHash } from 'node:crypto';
import { createLocalJWKSet, jwtVerify } from 'jose';
import { stored } from './authorization-server.mjs';
import { shown, thumbprint } from './certificates.mjs';
import { proofs } from './proofs.mjs';

export function resourceServer({ provider, issuer, jwk }, { resource }) {
  const refused = new Set();
  const counters = { api_requests: 0, challenges: 0 };
  const { d: _private, ...publicKey } = jwk;
  const keys = createLocalJWKSet({ keys: [publicKey] });
  const possession = proofs();

  // Whose token it is and what it is bound to, if it is valid. An opaque one ends with its grant, a JWT lives
  // as long as it says.
  async function lookUp(token) {
    if (refused.has(token)) return undefined;
    if (token.includes('.')) {
      const verified = await jwtVerify(token, keys, { issuer, audience: resource }).catch(() => undefined);
      return verified && { sub: verified.payload.sub, ...verified.payload.cnf };
    }
    const found = await provider.AccessToken.find(token);
    if (!found || !stored('Grant', found.grantId)) return undefined;
    return { sub: found.accountId, jkt: found.jkt, 'x5t#S256': found['x5t#S256'] };
  }

  function challenge(response, scheme, error) {
    counters.challenges += 1;
    const parameters = error ? `, error="${error}", error_description="expired, revoked, or not proved"` : '';
    response.writeHead(401, { 'www-authenticate': `${scheme} realm="api"${parameters}` }).end();
  }

  async function answer(request, response) {
    counters.api_requests += 1;
    const body = Buffer.concat(await request.toArray());
    const [, scheme, token] = /^(Bearer|DPoP) (.+)$/i.exec(request.headers.authorization ?? '') ?? [];
    if (!token) return challenge(response, 'Bearer');
    const found = await lookUp(token);
    // A bound token is worth nothing as a bearer token (RFC 9449 section 7.2), nor the other way round.
    const bound = scheme.toLowerCase() === 'dpop';
    if (!found || bound !== Boolean(found.jkt)) return challenge(response, scheme, 'invalid_token');
    const certificate = thumbprint(shown(request.socket));
    const wanted = found['x5t#S256'];
    if (wanted && wanted !== certificate) return challenge(response, scheme, 'invalid_token');
    if (bound) {
      response.setHeader('dpop-nonce', possession.nextNonce());
      const transport = request.socket.encrypted ? 'https' : 'http';
      const [uri] = `${transport}://${request.headers.host}${request.url}`.split('?');
      const fault = await possession.fault(request, uri, token, found.jkt);
      if (fault) return challenge(response, 'DPoP', fault);
    }
    const sha256 = createHash('sha256').update(body).digest('hex');
    const echo = JSON.stringify(
      { sub: found.sub, method: request.method, length: body.length, sha256, certificate });
    return response.writeHead(200, { 'content-type': 'application/json' }).end(echo);
  }

  return {
    answer,
    counters: () => ({ ...counters, ...possession.counters }),
    // Refused here only: the provider's own revocation would take the refresh token along.
    refuse: (token) => { refused.add(token); },
    forgetNonces: possession.forgetNonces,
  };
}
