// Walks the authorization code flow with PKCE over HTTP, as a browser and a client would (RFC 6749, RFC 7636),
// and the browser's part of the device flow.
import { createHash, createPrivateKey, randomBytes, randomUUID } from 'node:crypto';
import { SignJWT } from 'jose';
import { REDIRECT_URI } from './clients.mjs';

// A browser without a screen: follows redirects, with cookies, until the one that goes back to the client, or
// until a page comes.
function browser() {
  const cookies = new Map();
  return async (start, form) => {
    let url = new URL(start);
    let request = form ? { method: 'POST', body: new URLSearchParams(form) } : {};
    for (let hop = 0; hop < 10; hop += 1) {
      const cookie = [...cookies].map((pair) => pair.join('=')).join('; ');
      const response = await fetch(url, { ...request, redirect: 'manual', headers: { cookie } });
      for (const line of response.headers.getSetCookie()) {
        const [, name, value] = /^([^=]+)=([^;]*)/.exec(line);
        cookies.set(name, value);
      }
      const location = response.headers.get('location');
      if (!location) return { status: response.status, page: await response.text() };
      url = new URL(location, url);
      if (url.href.startsWith(REDIRECT_URI)) return { returned: url.searchParams };
      request = {};
    }
    throw new Error(`still being redirected, now to ${url}`);
  };
}

// What a person does with the code that a device shows (RFC 8628 section 3.3).
export async function approveDevice(user_code, issuer) {
  const browse = browser();
  const { page } = await browse(`${issuer}/device`);
  const [, xsrf] = /name="xsrf" value="([^"]+)"/.exec(page);
  const answer = await browse(`${issuer}/device`, { xsrf, user_code, confirm: 'yes' });
  if (!answer.page?.includes('Success')) throw new Error(`not approved: ${answer.status} ${answer.page}`);
}

const JWT_BEARER = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';

// By the first of its keys, which is one on P-256.
function assertion(client_id, issuer, keys) {
  const [[kid, pem]] = Object.entries(keys);
  return new SignJWT({ iss: client_id, sub: client_id, aud: issuer, jti: randomUUID() })
    .setProtectedHeader({ alg: 'ES256', kid }).setIssuedAt().setExpirationTime('1m')
    .sign(createPrivateKey(pem));
}

async function authenticate({ client_id, client_secret, token_endpoint_auth_method: method }, issuer, keys) {
  if (method === 'private_key_jwt') {
    const client_assertion = await assertion(client_id, issuer, keys);
    return [{}, { client_id, client_assertion, client_assertion_type: JWT_BEARER }];
  }
  if (method === 'client_secret_post') return [{}, { client_id, client_secret }];
  if (method === 'none') return [{}, { client_id }];
  const encoded = [client_id, client_secret].map(encodeURIComponent).join(':');
  return [{ authorization: `Basic ${Buffer.from(encoded).toString('base64')}` }, {}];
}

// As far as the code: what the client posts to the token endpoint to have it exchanged.
export async function authorize(client, issuer, parameters = {}) {
  const code_verifier = randomBytes(32).toString('base64url');
  const query = new URLSearchParams({
    client_id: client.client_id, response_type: 'code', redirect_uri: REDIRECT_URI,
    scope: 'openid api:read api:write', code_challenge_method: 'S256',
    code_challenge: createHash('sha256').update(code_verifier).digest('base64url'),
    ...parameters,
  });
  const { returned, page } = await browser()(`${issuer}/auth?${query}`);
  const code = returned?.get('code');
  if (!code) throw new Error(`no code came back: ${returned ?? page}`);
  return { grant_type: 'authorization_code', code, code_verifier, redirect_uri: REDIRECT_URI };
}

export async function logIn(client, issuer, keys) {
  const grant = await authorize(client, issuer);
  const [headers, parameters] = await authenticate(client, issuer, keys);
  const body = new URLSearchParams({ ...grant, ...parameters });
  const response = await fetch(`${issuer}/token`, { method: 'POST', headers, body });
  if (!response.ok) throw new Error(`${response.status} for the code: ${await response.text()}`);
  return response.json();
}
