// What stands in front of the provider's token and revocation endpoints: it counts, and spoils one answer on
// request.
import { EventEmitter, once } from 'node:events';
import { decodeJwt, decodeProtectedHeader } from 'jose';
import { stored } from './authorization-server.mjs';

export function tokenEndpoint(authority) {
  const counters = { token_requests: {}, answers_spoiled: 0, max_refreshes_at_once: 0 };
  const underWay = new Map(); // grant -> refreshes that have arrived and are not answered
  const held = [];
  const issued = []; // every token that was ever answered, delivered or not
  const requests = []; // what each request was, without its secrets
  const news = new EventEmitter();
  let fault = null;

  // The provider commits, and then its answer is lost wholly (`{"drop": true}`), or cut beyond the first bytes
  // of a body whose Content-Length promised all of it (`{"cut_at": 10}`), or kept back until it is released
  // (`{"hold": true}`).
  function spoil(response, { drop, cut_at: kept, hold }) {
    counters.answers_spoiled += 1;
    const { socket } = response;
    const end = response.end.bind(response);
    response.end = (body = '') => {
      if (drop) socket.destroy();
      else if (kept !== undefined) response.write(Buffer.from(body).subarray(0, kept), () => socket.destroy());
      else if (hold) news.emit('held', held.push(() => end(body)));
      return response;
    };
  }

  function countRefresh(form, response) {
    const grant = stored('RefreshToken', form.get('refresh_token'))?.grantId ?? 'unknown';
    const now = (underWay.get(grant) ?? 0) + 1;
    underWay.set(grant, now);
    counters.max_refreshes_at_once = Math.max(counters.max_refreshes_at_once, now);
    response.once('close', () => underWay.set(grant, underWay.get(grant) - 1));
  }

  function countAndSpoil(form, response) {
    const grantType = form.get('grant_type') ?? 'none';
    counters.token_requests[grantType] = (counters.token_requests[grantType] ?? 0) + 1;
    if (grantType !== 'refresh_token') return;
    countRefresh(form, response);
    if (fault) spoil(response, fault);
    fault = null;
  }

  function remember(request, form, response) {
    const { dpop } = request.headers;
    const assertion = form.get('client_assertion');
    const seen = {
      path: request.url,
      resource: form.getAll('resource'),
      assertion: assertion && { ...decodeProtectedHeader(assertion), ...decodeJwt(assertion) },
      proof: dpop && { ...decodeJwt(dpop), key: decodeProtectedHeader(dpop).jwk.x },
    };
    requests.push(seen);
    const end = response.end.bind(response);
    response.end = (body = '') => {
      const answer = JSON.parse(String(body) || '{}');
      Object.assign(seen, { status: response.statusCode, error: answer.error });
      issued.push(...[answer.access_token, answer.refresh_token, answer.id_token].filter(Boolean));
      return end(body);
    };
  }

  return {
    counters,
    issued,
    requests,
    spoilNext: (description) => { fault = description; },
    oneIsHeld: async () => { if (held.length === 0) await once(news, 'held'); },
    release: () => { for (const answer of held.splice(0)) answer(); },
    answer: async (request, response) => {
      // The provider takes a body that was read before it.
      request.body = Buffer.concat(await request.toArray()).toString();
      const form = new URLSearchParams(request.body);
      if (request.url === '/token') countAndSpoil(form, response);
      remember(request, form, response);
      return authority.answer(request, response);
    },
  };
}
