// The clients that are registered: one for each way to authenticate.
import { createPublicKey, randomBytes } from 'node:crypto';
import { clientsWith } from './certificates.mjs';

const DEVICE_CODE = 'urn:ietf:params:oauth:grant-type:device_code';
export const REDIRECT_URI = 'https://client.test/callback';

export function register({ redirect_uris: more, assertion_keys, tls }) {
  const common = {
    redirect_uris: [REDIRECT_URI, ...more],
    grant_types: ['authorization_code', 'refresh_token', DEVICE_CODE],
  };
  const client = (client_id, token_endpoint_auth_method, client_secret) => (
    { ...common, client_id, client_secret, token_endpoint_auth_method });
  // Characters that come through HTTP Basic only if they were form-encoded first (RFC 6749 section 2.3.1).
  const awkward = `%20+&=:/ ${randomBytes(24).toString('base64url')}`;
  // Of each key the public half.
  const keys = Object.entries(assertion_keys)
    .map(([kid, pem]) => ({ ...createPublicKey(pem).export({ format: 'jwk' }), kid, use: 'sig' }));
  const signing = keys.length > 0
    && { assertion: { ...client('assertion', 'private_key_jwt'), jwks: { keys } } };
  return {
    ...signing,
    ...(tls && clientsWith(tls, client)),
    basic: client('basic:id/1', 'client_secret_basic', awkward),
    post: client('post', 'client_secret_post', randomBytes(24).toString('base64url')),
    public: client('public', 'none'),
    dpop: { ...client('dpop', 'none'), dpop_bound_access_tokens: true },
  };
}
