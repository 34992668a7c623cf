// Walks the authorization code flow with PKCE over HTTP, as a browser and a client would (RFC 6749, RFC 7636).
import { createHash, randomBytes } from 'node:crypto';
import { REDIRECT_URI } from './authorization-server.mjs';

// Follows redirects, with cookies, until the one that goes back to the client.
async function browse(start) {
  const cookies = new Map();
  let url = new URL(start);
  for (let hop = 0; hop < 10; hop += 1) {
    const cookie = [...cookies].map((pair) => pair.join('=')).join('; ');
    const response = await fetch(url, { redirect: 'manual', headers: { cookie } });
    for (const line of response.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line);
      cookies.set(name, value);
    }
    const location = response.headers.get('location');
    if (!location) throw new Error(`no redirect, but ${response.status} from ${url}: ${await response.text()}`);
    url = new URL(location, url);
    if (url.href.startsWith(REDIRECT_URI)) return url.searchParams;
  }
  throw new Error(`still being redirected, now to ${url}`);
}

function authenticate({ client_id, client_secret, token_endpoint_auth_method: method }) {
  if (method === 'client_secret_post') return [{}, { client_id, client_secret }];
  if (method === 'none') return [{}, { client_id }];
  const encoded = [client_id, client_secret].map(encodeURIComponent).join(':');
  return [{ authorization: `Basic ${Buffer.from(encoded).toString('base64')}` }, {}];
}

export async function logIn(client, issuer) {
  const code_verifier = randomBytes(32).toString('base64url');
  const query = new URLSearchParams({
    client_id: client.client_id, response_type: 'code', redirect_uri: REDIRECT_URI,
    scope: 'openid api:read api:write', code_challenge_method: 'S256',
    code_challenge: createHash('sha256').update(code_verifier).digest('base64url'),
  });
  const returned = await browse(`${issuer}/auth?${query}`);
  const code = returned.get('code');
  if (!code) throw new Error(`no code came back: ${returned}`);

  const [headers, parameters] = authenticate(client);
  const body = new URLSearchParams(
    { grant_type: 'authorization_code', code, code_verifier, redirect_uri: REDIRECT_URI, ...parameters });
  const response = await fetch(`${issuer}/token`, { method: 'POST', headers, body });
  if (!response.ok) throw new Error(`${response.status} for the code: ${await response.text()}`);
  return response.json();
}
