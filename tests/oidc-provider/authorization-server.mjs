// The provider: strict rotation, kept in a Map, logging everybody in without a page unless one is asked for.
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import Provider, { errors, interactionPolicy } from 'oidc-provider';
import { feature } from './certificates.mjs';
import { register } from './clients.mjs';
import { loginPage, nameGiven } from './login-page.mjs';

const DAY = 24 * 60 * 60;
const SCOPE = 'api:read api:write';

// The package's own store forgets tokens beyond the first thousand entries; this one forgets none.
const entries = new Map();
const nameOf = (model, id) => `${model}/${id}`;
export const stored = (model, id) => entries.get(nameOf(model, id));

function forgetGrant(grantId) {
  for (const [name, entry] of entries) {
    if (entry.grantId === grantId) entries.delete(name);
  }
  entries.delete(nameOf('Grant', grantId));
}

class MapStore {
  constructor(model) {
    this.model = model;
  }
  async upsert(id, payload) {
    entries.set(nameOf(this.model, id), payload);
  }
  async find(id) {
    return stored(this.model, id);
  }
  async findByUid(uid) {
    return [...entries.values()].find((entry) => entry.uid === uid);
  }
  async findByUserCode(userCode) {
    return [...entries.values()].find((entry) => entry.userCode === userCode);
  }
  async destroy(id) {
    entries.delete(nameOf(this.model, id));
  }
  async revokeByGrantId(grantId) {
    forgetGrant(grantId);
  }
  // Checked and set in one step: of two requests with one token exactly one is served, and the other is
  // reuse, even where both were read before either was marked.
  async consume(id) {
    const entry = stored(this.model, id);
    if (!entry || entry.consumed) {
      if (entry) forgetGrant(entry.grantId);
      throw new errors.InvalidGrant('refresh token already used');
    }
    entry.consumed = Math.floor(Date.now() / 1000);
  }
}

export async function authorizationServer({ issuer, tlsOrigin, resource, options }) {
  const clients = register(options);
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const jwk = { ...privateKey.export({ format: 'jwk' }), alg: 'ES256', use: 'sig', kid: 'signing' };
  const policy = interactionPolicy.base();
  policy.remove('consent');

  const provider = new Provider(issuer, {
    adapter: MapStore,
    clients: Object.values(clients).map((client) => ({ ...client, id_token_signed_response_alg: 'ES256' })),
    jwks: { keys: [jwk] },
    clockTolerance: 0,
    cookies: { keys: [randomBytes(16).toString('hex')] },
    enabledJWA: { idTokenSigningAlgValues: ['ES256'] },
    clientAuthMethods: Object.values(clients).map((client) => client.token_endpoint_auth_method),
    rotateRefreshToken: true,
    issueRefreshToken: async () => true,
    expiresWithSession: async () => false,
    // An access token that its client revokes takes its login along, as RFC 7009 section 2.1 allows.
    revokeGrantPolicy: async () => true,
    ttl: { AccessToken: options.access_token_ttl, AuthorizationCode: 60, DeviceCode: 600, Grant: DAY,
      IdToken: 600, Interaction: 600, RefreshToken: DAY, Session: DAY },
    findAccount: async (_ctx, accountId) => ({ accountId, claims: async () => ({ sub: accountId }) }),
    // Consent is given by everybody to everything: each login gets a grant of its own.
    loadExistingGrant: async ({ oidc }) => {
      const grant = new provider.Grant({ accountId: oidc.session.accountId, clientId: oidc.client.clientId });
      grant.addOIDCScope('openid');
      grant.addResourceScope(resource, SCOPE);
      await grant.save();
      return grant;
    },
    discovery: tlsOrigin ? {
      mtls_endpoint_aliases: {
        token_endpoint: `${tlsOrigin}/token`, revocation_endpoint: `${tlsOrigin}/token/revocation`,
      },
    } : {},
    interactions: { policy, url: (_ctx, { uid }) => `/login/${uid}` },
    features: {
      devInteractions: { enabled: false },
      deviceFlow: { enabled: true },
      // Of whoever sends a proof at all.
      dPoP: { enabled: true, nonceSecret: randomBytes(32), requireNonce: () => true },
      mTLS: feature,
      introspection: { enabled: true, allowedPolicy: async () => true },
      revocation: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: async () => resource,
        useGrantedResource: async () => true,
        getResourceServerInfo: async () => ({
          scope: SCOPE, audience: resource, accessTokenTTL: options.access_token_ttl,
          accessTokenFormat: options.access_token_format, jwt: { sign: { alg: 'ES256' } },
        }),
      },
    },
  });

  const counters = { refreshed: 0, invalid_grants: 0, reuses: 0, consumed: 0, revocations: 0 };
  provider.on('refresh_token.consumed', () => { counters.consumed += 1; });
  provider.on('grant.success', ({ oidc }) => {
    if (oidc.params.grant_type === 'refresh_token') counters.refreshed += 1;
  });
  provider.on('grant.error', (_ctx, error) => {
    if (error.error !== 'invalid_grant') return;
    counters.invalid_grants += 1;
    if (error.error_detail === 'refresh token already used') counters.reuses += 1;
  });
  // The provider tells this for the revocation endpoint and for reuse alike.
  provider.on('grant.revoked', () => { counters.revocations += 1; });
  provider.on('server_error', (_ctx, error) => console.error(error));

  const serve = provider.callback();
  const answer = async (request, response) => {
    if (!request.url.startsWith('/login/')) return serve(request, response);
    if (options.login_page && request.method === 'GET') return loginPage(request, response);
    const name = options.login_page ? await nameGiven(request) : `subject-${randomBytes(6).toString('hex')}`;
    return provider.interactionFinished(request, response, { login: { accountId: name } });
  };
  return { provider, clients, issuer, jwk, counters, answer };
}
