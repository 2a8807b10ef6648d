import { $, ask, attempt, confirmed, showMissing, showTime, start } from './admin.js';
import { button, long, SortedTable, twoLines, unknown } from './list.js';
import { write } from './table.js';
import { bytes, clock, count, duration, endTexts } from './text.js';

const form = $('#search');
const filters = ['subject', 'feed', 'address', 'connection', 'node'];
/** How many connections are asked for at once. */
const limit = 100;

let connections = [];
let next;
let shownQuery = {};

const table = new SortedTable(
  (info) => [
    twoLines(info.id, info.userAgent ?? ''),
    info.subject === undefined ? unknown : long(info.subject),
    info.address,
    long(feedsOf(info, 20)),
    since(info),
    count(info.messages),
    bytes(info.bytes),
    waiting(info),
    info.reason === undefined ? button('End…', () => end(info), 'plain bad') : '',
  ],
  (info, key) => (key === 'feeds' ? info.feeds.join(', ') : key === 'since' ? -info.since : info[key]),
);

/** The feeds that a connection follows, or the first of them. */
function feedsOf({ feeds }, most) {
  if (feeds.length === 0) return 'none';
  return feeds.length > most ? `${feeds.slice(0, most).join(', ')} and ${feeds.length - most} more` : feeds.join(', ');
}

function since(info) {
  if (info.reason === undefined) return twoLines(duration(Date.now() - info.since), `${info.format}, ${info.transport}`);
  return twoLines(duration(info.endedAt - info.since), `${endTexts[info.reason] ?? info.reason}, ${clock(info.endedAt)}`);
}

function waiting({ waitingBytes, progressAt, lag }) {
  if (waitingBytes === 0) return unknown;
  const behind = lag > 0 ? `, ${count(lag)} behind` : '';
  return twoLines(bytes(waitingBytes), `for ${duration(Date.now() - progressAt)}${behind}`);
}

/** What the form says, without what is empty. */
function query() {
  const { elements } = form;
  const given = filters.map((name) => [name, elements[name].value.trim()]).filter(([, value]) => value !== '');
  return { ...Object.fromEntries(given), ...(elements.state.value === 'ended' && { state: 'ended' }) };
}

async function load() {
  shownQuery = query();
  const parameters = new URLSearchParams(shownQuery);
  window.history.replaceState(null, '', `connections${parameters.size > 0 ? `?${parameters}` : ''}`);
  const page = await ask('connections', { query: { ...shownQuery, limit } });
  connections = page.connections;
  show(page);
}

async function loadMore() {
  const page = await ask('connections', { query: { ...shownQuery, limit, after: next } });
  connections = [...connections, ...page.connections];
  show(page);
}

function show(page) {
  ({ next } = page);
  const { state = 'open', ...filter } = shownQuery;
  const isFiltered = Object.keys(filter).length > 0;
  const size = `${count(connections.length)} ${connections.length === 1 ? 'connection' : 'connections'}`;
  const isCut = next !== undefined || (state === 'ended' && connections.length === limit);
  const none = isFiltered ? 'No connection matches.' : state === 'ended' ? 'No connection has ended.' : 'No connection is open.';
  const some = `${size} ${state}${isCut ? ', and more' : ''}${isFiltered ? ' that match' : ''}`;
  write($('#summary'), connections.length === 0 ? none : some);
  showMissing(page.missing, 'connections of these nodes are not listed.');
  write($('[data-key=since]'), state === 'ended' ? 'Was open' : 'Open for');
  table.show(connections);
  $('#more').hidden = next === undefined;
  $('#end-all').hidden = !isFiltered || state === 'ended' || connections.length === 0;
  showTime();
}

const isAre = (number) => (number === 1 ? 'connection was' : 'connections were');

/** Ends connections once that is confirmed, and says how many. */
async function endBy(filter, title, text) {
  let ended;
  const isDone = await confirmed({
    title,
    text,
    action: 'End',
    ends: true,
    work: async ({ reason, reconnect }) => {
      const query = { ...filter, reason: reason.value.trim(), ...(!reconnect.checked && { reconnect: 'false' }) };
      ended = await ask('connections', { method: 'DELETE', query });
    },
  });
  if (!isDone) return;
  if (!(await attempt(load))) return;
  const missing = ended.missing.length > 0 ? ` No answer from ${ended.missing.join(', ')}.` : '';
  write($('#summary'), `${count(ended.ended)} ${isAre(ended.ended)} ended.${missing} ${$('#summary').textContent}`);
  $('#summary').focus();
}

function end(info) {
  const { id, subject, address } = info;
  const who = subject === undefined ? address : `${subject}, ${address}`;
  endBy({ connection: id }, `End connection ${id}?`, `It is of ${who}, and follows ${feedsOf(info, 3)}.`);
}

$('#end-all').addEventListener('click', () => {
  const { state, ...filter } = shownQuery;
  const what = Object.entries(filter).map(([name, value]) => `${name} ${value}`);
  endBy(filter, 'End all connections that match?', `All with ${what.join(' and ')}, on all nodes: also those that are not shown here.`);
});

$('#more').addEventListener('click', () => attempt(loadMore));
form.addEventListener('submit', (event) => {
  event.preventDefault();
  attempt(load);
});
form.addEventListener('reset', () => setTimeout(() => attempt(load)));

for (const [name, value] of new URLSearchParams(location.search)) {
  if (filters.includes(name) || (name === 'state' && value === 'ended')) form.elements[name].value = value;
}
start(load);
