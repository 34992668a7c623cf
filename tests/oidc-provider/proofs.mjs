// Checks proofs of possession as a resource server does (RFC 9449 section 4.3), and gives out nonces of its own
// (section 9).
import { createHash, randomBytes } from 'node:crypto';
import { EmbeddedJWK, calculateJwkThumbprint, jwtVerify } from 'jose';

const MINUTE = 60;

export function proofs() {
  const counters = { proofs_demanded_again: 0, proofs_refused: 0 };
  const nonces = new Set();
  const seen = new Set();

  async function fault(request, uri, token, jkt) {
    // A request with several such headers arrives here as one with a comma in it, which is no JWT.
    const proof = request.headers.dpop ?? '';
    const verified = await jwtVerify(proof, EmbeddedJWK, { typ: 'dpop+jwt', algorithms: ['ES256'] })
      .catch(() => undefined);
    if (!verified) return 'invalid_dpop_proof';
    const { payload, protectedHeader: { jwk } } = verified;
    const right = payload.htm === request.method && payload.htu === uri
      && payload.ath === createHash('sha256').update(token).digest('base64url')
      && Math.abs(payload.iat - Date.now() / 1000) < MINUTE
      && payload.jti && !seen.has(payload.jti);
    if (!right) return 'invalid_dpop_proof';
    seen.add(payload.jti);
    if ((await calculateJwkThumbprint(jwk)) !== jkt) return 'invalid_token';
    return nonces.has(payload.nonce) ? undefined : 'use_dpop_nonce';
  }

  return {
    counters,
    // What is wrong with the proof of a request for `uri` with a token that is bound to the key `jkt`, if anything.
    fault: async (...about) => {
      const found = await fault(...about);
      if (found === 'use_dpop_nonce') counters.proofs_demanded_again += 1;
      else if (found) counters.proofs_refused += 1;
      return found;
    },
    // A nonce for the next proof. All of them are good until they are forgotten.
    nextNonce: () => {
      const nonce = randomBytes(12).toString('base64url');
      nonces.add(nonce);
      return nonce;
    },
    forgetNonces: () => nonces.clear(),
  };
}
