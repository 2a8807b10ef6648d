import { $, ask, attempt, confirmed, showMissing, showTime, start } from './admin.js';
import { button, long, SortedTable, unknown } from './list.js';
import { write } from './table.js';
import { bytes, clock, count, duration } from './text.js';

const form = $('#search');
const publishForm = $('#publish');
/** How many feeds are asked for at once, and how many messages of one. */
const [limit, mostMessages] = [100, 50];

let feeds = [];
let next;
let shownPrefix = '';
/** The id of the feed that is shown. */
let shown;

const known = (value, format) => (value === undefined ? unknown : format(value));
const endOf = ({ ended }) => (ended ? `${ended.reason}${ended.message === undefined ? '' : `: ${ended.message}`}` : 'open');

const table = new SortedTable(
  (feed) => [
    button(feed.id, () => open(feed.id)),
    count(feed.subscribers),
    known(feed.historyLength, count),
    known(feed.historyBytes, bytes),
    known(feed.ageMs, (age) => `${duration(age)} ago`),
    long(endOf(feed)),
  ],
  (feed, key) => (key === 'ended' ? endOf(feed) : feed[key]),
);

/** The path of a feed: a slash of its id is one of the path as well. */
const pathOf = (id) => `feeds/${encodeURIComponent(id)}`;

async function load() {
  shownPrefix = form.elements.prefix.value.trim();
  remember();
  const page = await ask('feeds', { query: { prefix: shownPrefix, limit } });
  feeds = page.feeds;
  show(page);
  if (shown !== undefined) await inspect();
}

async function loadMore() {
  const page = await ask('feeds', { query: { prefix: shownPrefix, limit, after: next } });
  feeds = [...feeds, ...page.feeds];
  show(page);
}

/** Keeps what is shown in the address of the page. */
function remember() {
  const parameters = new URLSearchParams({ ...(shownPrefix && { prefix: shownPrefix }), ...(shown !== undefined && { id: shown }) });
  window.history.replaceState(null, '', `feeds${parameters.size > 0 ? `?${parameters}` : ''}`);
}

function show(page) {
  ({ next } = page);
  const size = `${count(feeds.length)} ${feeds.length === 1 ? 'feed' : 'feeds'}`;
  const partial = page.partial ? ' Feeds without subscribers may be missing.' : '';
  const none = `No feed${shownPrefix && ` that begins with ${shownPrefix}`} has subscribers or history.`;
  const some = `${size}${shownPrefix && ` that ${feeds.length === 1 ? 'begins' : 'begin'} with ${shownPrefix}`}${next === undefined ? '' : ', and more'}.`;
  write($('#summary'), `${feeds.length === 0 ? none : some}${partial}`);
  showMissing(page.missing, 'subscribers of these nodes are not counted.');
  table.show(feeds);
  $('#more').hidden = next === undefined;
  const isListed = feeds.some(({ id }) => id === shownPrefix);
  write($('#open-one'), `Open ${shownPrefix}`);
  $('#open-one').hidden = shownPrefix === '' || isListed || shownPrefix.endsWith('/');
  showTime();
}

async function open(id) {
  shown = id;
  remember();
  publishForm.reset();
  write($('#published'), '');
  if (!(await attempt(inspect))) {
    shown = undefined;
    $('#feed').hidden = true;
    return;
  }
  $('#feed-title').focus();
}

/** Shows a feed and its newest messages. What they hold is shown as text, never as HTML. */
async function inspect() {
  const feed = await ask(pathOf(shown), { query: { limit: mostMessages, reverse: 'true' } });
  const { id, nodes, missing, historyLength, historyBytes, messages } = feed;
  write($('#feed-title'), id);
  const perNode = nodes.length > 1 ? ` (${nodes.map(({ name, subscribers }) => `${name}: ${count(subscribers)}`).join(', ')})` : '';
  const facts = [
    `${count(feed.subscribers)} ${feed.subscribers === 1 ? 'subscriber' : 'subscribers'}${perNode}`,
    endOf(feed),
    missing.length > 0 && `no answer from ${missing.join(', ')}`,
  ];
  write($('#feed-facts'), facts.filter(Boolean).join(' · '));
  $('#connections').href = `connections?${new URLSearchParams({ feed: id })}`;
  const stored = historyLength === undefined ? '' : `${count(historyLength)} stored, ${bytes(historyBytes)}`;
  const newest = messages.length === mostMessages ? `the ${mostMessages} newest` : '';
  write($('#history-more'), messages.length === 0 ? 'Nothing is stored.' : [stored, newest].filter(Boolean).join(' · '));
  $('#log ol').replaceChildren(...messages.map(itemOf));
  $('#log').hidden = messages.length === 0;
  $('#feed').hidden = false;
}

function itemOf({ id, type, time, data }) {
  const item = document.createElement('li');
  const at = item.appendChild(document.createElement('time'));
  at.textContent = clock(time);
  at.dateTime = new Date(time).toISOString();
  if (id) at.title = id;
  if (type) item.appendChild(document.createElement('b')).textContent = type;
  item.appendChild(document.createElement('span')).textContent = typeof data === 'string' ? data : JSON.stringify(data);
  return item;
}

publishForm.addEventListener('submit', (event) => {
  event.preventDefault();
  const { type, format, data } = publishForm.elements;
  write($('#published'), '');
  attempt(async () => {
    const { subscribers } = await ask(pathOf(shown), { method: 'POST', query: { type: type.value }, body: data.value, type: format.value });
    data.value = '';
    await load();
    write(
      $('#published'),
      `Published. The node that answered has ${count(subscribers)} ${subscribers === 1 ? 'subscriber' : 'subscribers'}.`,
    );
    data.focus();
  });
});

$('#clear').addEventListener('click', async () => {
  const isDone = await confirmed({
    title: `Clear ${shown}?`,
    text: 'All that is stored of this feed is removed, on all nodes. Its subscribers get a reset. This cannot be undone.',
    action: 'Clear',
    work: () => ask(pathOf(shown), { method: 'DELETE' }),
  });
  if (!isDone || !(await attempt(load))) return;
  write($('#published'), 'Cleared.');
  $('#feed-title').focus();
});

$('#close').addEventListener('click', () => {
  shown = undefined;
  $('#feed').hidden = true;
  remember();
  $('#summary').focus();
});
$('#open-one').addEventListener('click', () => open(shownPrefix));
$('#more').addEventListener('click', () => attempt(loadMore));
form.addEventListener('submit', (event) => {
  event.preventDefault();
  attempt(load);
});

const given = new URLSearchParams(location.search);
form.elements.prefix.value = given.get('prefix') ?? '';
shown = given.get('id') ?? undefined;
start(load);
