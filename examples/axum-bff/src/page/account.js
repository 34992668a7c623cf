// Shows the account as the back end tells it, and presses its buttons. There is no token to be found here.
'use strict';

const $ = (id) => document.getElementById(id);
let account = null;
let heardAt = 0;
const busy = new Set(); // buttons whose answer has not come yet
let whole = 1; // how long the token lives, as far as was seen

function render() {
  if (!account || !$('life')) return;
  const { subject, generation, expires_in_ms: told, refreshing, needs_login: ended, lines } = account;
  const left = told === null ? null : told - (performance.now() - heardAt);
  const expired = left !== null && left <= 0;
  $('subject').textContent = subject;
  $('generation').textContent = generation ?? '–';
  $('left').textContent = left === null ? '–' : `${Math.max(0, Math.ceil(left / 1000))} s`;
  $('life').value = left === null ? 0 : Math.max(0, left) / whole;
  const condition = ended ? 'ended' : refreshing ? 'refreshing' : expired ? 'expired' : 'valid';
  $('condition').textContent = condition;
  $('condition').className = `figure state ${{ valid: 'good', ended: 'bad', expired: 'bad' }[condition] ?? ''}`;
  $('outcome').textContent = lines.at(-1)?.text ?? '–';
  $('outcome').className = lines.at(-1)?.good === false ? 'bad' : '';
  $('ended').hidden = !ended;
  for (const id of ['call', 'expire', 'revoke']) $(id).disabled = ended || busy.has($(id));
}

function renderLog() {
  $('log').replaceChildren(...account.lines.toReversed().map(({ number, text, good }) => {
    const item = document.createElement('li');
    item.className = good ? '' : 'bad';
    for (const part of [number, text]) item.append(Object.assign(document.createElement('span'), { textContent: part }));
    return item;
  }));
}

function hear(news) {
  // An answer that was overtaken by a newer one tells nothing.
  if (account && (account.lines.at(-1)?.number ?? 0) > (news.lines.at(-1)?.number ?? 0)) return;
  if (account?.generation !== news.generation) whole = Math.max(1, news.expires_in_ms ?? 1);
  account = news;
  heardAt = performance.now();
  renderLog();
  render();
}

async function press(button) {
  busy.add(button);
  button.disabled = true;
  try {
    const answer = await fetch(button.dataset.post, { method: 'POST' });
    const told = await answer.json();
    if (answer.status === 401) return location.assign('/');
    if (told.logged_out) return leave(told.logged_out);
    if (answer.ok) hear(told);
  } finally {
    busy.delete(button);
    button.disabled = false;
    render();
  }
}

function leave(text) {
  live.close();
  document.body.className = 'narrow';
  document.body.innerHTML = '<main class="card"><h1>Goodbye</h1><p class="note" id="note"></p>'
    + '<a class="button" id="login" href="/login">Log in</a></main>';
  $('note').textContent = text;
}

const live = new EventSource('/live');
live.onmessage = ({ data }) => hear(JSON.parse(data));
// The session has ended elsewhere, or the back end is gone: its front page tells which.
live.onerror = () => { if (live.readyState === EventSource.CLOSED) location.assign('/'); };
for (const button of document.querySelectorAll('[data-post]')) button.onclick = () => press(button);
setInterval(render, 250);
