// A resource server that tells the length and the SHA-256 of what it was sent, to whoever has a valid token.
import { createHash } from 'node:crypto';
import { createLocalJWKSet, jwtVerify } from 'jose';
import { stored } from './authorization-server.mjs';

export function resourceServer({ provider, issuer, jwk }, { resource }) {
  const refused = new Set();
  const counters = { api_requests: 0, challenges: 0 };
  const { d: _private, ...publicKey } = jwk;
  const keys = createLocalJWKSet({ keys: [publicKey] });

  // The subject of a valid token. An opaque one ends with its grant, a JWT lives as long as it says.
  async function subject(token) {
    if (refused.has(token)) return undefined;
    if (token.includes('.')) {
      const verified = await jwtVerify(token, keys, { issuer, audience: resource }).catch(() => undefined);
      return verified?.payload.sub;
    }
    const found = await provider.AccessToken.find(token);
    return found && stored('Grant', found.grantId) ? found.accountId : undefined;
  }

  function challenge(response, parameters) {
    counters.challenges += 1;
    response.writeHead(401, { 'www-authenticate': `Bearer realm="api"${parameters}` }).end();
  }

  async function answer(request, response) {
    counters.api_requests += 1;
    const body = Buffer.concat(await request.toArray());
    const [, token] = /^Bearer (.+)$/i.exec(request.headers.authorization ?? '') ?? [];
    if (!token) return challenge(response, '');
    const sub = await subject(token);
    if (!sub) return challenge(response, ', error="invalid_token", error_description="expired or revoked"');
    const sha256 = createHash('sha256').update(body).digest('hex');
    const echo = JSON.stringify({ sub, method: request.method, length: body.length, sha256 });
    return response.writeHead(200, { 'content-type': 'application/json' }).end(echo);
  }

  // Refused here only: the provider's own revocation would take the refresh token along.
  return { answer, counters, refuse: (token) => { refused.add(token); } };
}
