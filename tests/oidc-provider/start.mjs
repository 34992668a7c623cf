// A real authorization server (npm oidc-provider) and a resource server for its tokens, for the interop tests.
//
//   node start.mjs '{"access_token_ttl": 60, "access_token_format": "opaque" | "jwt",
//                    "redirect_uris": ["http://127.0.0.1:8080/callback"], "login_page": true}'
//
// Without "login_page" everybody is logged in without being asked. With "assertion_keys": {"key id": "PEM"} there is
// a client whose assertions are signed by any of these. With "tls": {"key", "certificate": the servers' own,
// "authority": whose certificates of clients are believed, "self_signed": [of one client]} both speak TLS as well.
// Both listen on free ports of the loopback interface. One line of JSON says where, once they do. They stop
// when standard input closes, so they cannot outlive the test that started them, however it dies.
import './runtime.mjs';
import { createServer } from 'node:http';
import { once } from 'node:events';
import { authorizationServer } from './authorization-server.mjs';
import { tlsServer } from './certificates.mjs';
import { resourceServer } from './resource-server.mjs';
import { tokenEndpoint } from './token-endpoint.mjs';
import { approveDevice, authorize, logIn } from './login.mjs';

process.stdin.resume().on('end', () => process.exit(0));

const options = {
  access_token_ttl: 60, access_token_format: 'opaque', redirect_uris: [], login_page: false,
  assertion_keys: {},
  ...JSON.parse(process.argv[2] ?? '{}'),
};

async function listening(scheme, server) {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { server, origin: `${scheme}://127.0.0.1:${server.address().port}` };
}

const front = await listening('http', createServer());
const back = await listening('http', createServer());
const [tlsFront, tlsBack] = options.tls
  ? [await listening('https', tlsServer(options.tls)), await listening('https', tlsServer(options.tls))] : [];
const resource = `${back.origin}/api`;
const authority = await authorizationServer(
  { issuer: front.origin, tlsOrigin: tlsFront?.origin, resource, options });
const tokens = tokenEndpoint(authority);
const api = resourceServer(authority, { resource });
// Answers that are written as they are, in base64, in place of the server's own.
const raw = { Authorization: [], Resource: [] };

const control = {
  'POST /control/mint': async ({ client }) => {
    const registered = authority.clients[client];
    return { client, ...(await logIn(registered, front.origin, options.assertion_keys)) };
  },
  'POST /control/authorize': async ({ client, parameters }) => (
    authorize(authority.clients[client], front.origin, parameters)),
  'POST /control/approve-device': async ({ user_code }) => approveDevice(user_code, front.origin),
  'GET /control/issued': async () => tokens.issued,
  'GET /control/token-requests': async () => tokens.requests,
  'POST /control/revoke-access-token': async ({ access_token }) => api.refuse(access_token),
  'POST /control/forget-nonces': async () => api.forgetNonces(),
  'POST /control/next-refresh-answer': async (fault) => tokens.spoilNext(fault),
  'POST /control/answer-raw': async ({ side, answers }) => { raw[side] = answers; },
  'POST /control/raw-left': async ({ side }) => raw[side].length,
  'POST /control/held': async () => tokens.oneIsHeld(),
  'POST /control/release': async () => tokens.release(),
  'GET /control/counters': async () => ({ ...tokens.counters, ...authority.counters, ...api.counters() }),
};

async function answerControl(request, response) {
  const command = control[`${request.method} ${request.url}`];
  if (!command) return response.writeHead(404).end();
  const text = Buffer.concat(await request.toArray()).toString();
  try {
    const answer = JSON.stringify((await command(text ? JSON.parse(text) : {})) ?? {});
    return response.writeHead(200, { 'content-type': 'application/json' }).end(answer);
  } catch (error) {
    return response.writeHead(500).end(String(error.stack));
  }
}

function answer(request, response) {
  if (request.url.startsWith('/control/')) return answerControl(request, response);
  const watched = ['/token', '/token/revocation'].includes(request.url);
  if (request.method === 'POST' && watched) return tokens.answer(request, response);
  return authority.answer(request, response);
}

// Once the whole request is here, so that the client reads the answer instead of writing on.
async function answerRaw(request, bytes) {
  await request.toArray();
  request.socket.end(Buffer.from(bytes, 'base64'));
}

function serve(server, side, answerRequest) {
  server.on('request', (request, response) => {
    const isControl = request.url.startsWith('/control/');
    const bytes = isControl ? undefined : raw[side].shift();
    return bytes ? answerRaw(request, bytes) : answerRequest(request, response);
  });
}

for (const { server } of [front, tlsFront].filter(Boolean)) serve(server, 'Authorization', answer);
for (const { server } of [back, tlsBack].filter(Boolean)) serve(server, 'Resource', api.answer);

console.log(JSON.stringify({
  issuer: front.origin,
  authorization_endpoint: `${front.origin}/auth`,
  device_authorization_endpoint: `${front.origin}/device/auth`,
  token_endpoint: `${front.origin}/token`,
  revocation_endpoint: `${front.origin}/token/revocation`,
  introspection_endpoint: `${front.origin}/token/introspection`,
  control: `${front.origin}/control`,
  resource,
  echo: `${resource}/echo`,
  tls_echo: tlsBack && `${tlsBack.origin}/api/echo`,
  clients: authority.clients,
}));
