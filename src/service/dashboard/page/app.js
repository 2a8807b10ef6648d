import { chart } from './charts.js';
import { FeedFollower } from './follower.js';
import { History } from './history.js';
import { followNumbers } from './live.js';
import { fill, write } from './table.js';
import { bytes, clock, count, endReasons, milliseconds, rejectReasons } from './text.js';

const { body } = document;
const { feeds, token } = body.dataset;
const $ = (selector) => document.querySelector(selector);
const history = new History();
const follower = new FeedFollower(feeds, token === 'true');
const charts = [];

/** The tiles: their titles, and what their charts show. */
const tiles = {
  messages: ['Messages per second', { names: ['messages'], format: count, floor: 10 }],
  bytes: ['Bytes per second', { names: ['bytes'], format: bytes, floor: 1024 }],
  turnover: ['Opened and closed per second', { names: ['opened', 'closed'], format: count, floor: 10 }],
  memory: ['Resident memory per connection', { names: ['perConnection'], format: bytes, log: true }],
  unsent: ['Unsent bytes', { names: ['unsent'], format: bytes, floor: 65_536 }],
  delay: ['Event loop delay', { names: ['delay'], format: milliseconds, floor: 20 }],
};

const draw = (element, options) => charts.push(chart(element, history, options));
draw($('#open-chart'), { names: ['open'], format: count, floor: 10, axes: true });
for (const [id, [title, options]] of Object.entries(tiles)) {
  const card = $('#tile').content.firstElementChild.cloneNode(true);
  card.id = id;
  card.querySelector('h2').textContent = title;
  $('.tiles').append(card);
  draw(card.querySelector('.chart'), options);
}

/** Writes a tile's value and the details below it. */
function tile(id, value, more) {
  write($(`#${id} .value`), value);
  write($(`#${id} .more`), more);
}

const known = (value, format) => (value === null ? '–' : format(value));

/** Formats a number with a sign, unless it is 0. */
const signed = (sign) => (value) => `${value > 0 ? sign : ''}${count(value)}`;

function showCounts({ counts, viewers }, now) {
  const { open, peak, opened, limit, rssBytes, bufferedBytes, eventLoopDelayMs } = counts;
  write($('#open'), count(open));
  const own = viewers === 1 ? 'including this page' : `${count(viewers)} of them dashboards`;
  const more = [limit !== null && `of ${count(limit)}`, viewers > 0 && own, `peak ${count(peak)}`, `${count(opened)} opened in total`];
  write($('#open-more'), more.filter(Boolean).join(' · '));
  body.dataset.load = limit !== null && open >= limit * 0.95 ? 'high' : '';
  $('#no-connections').hidden = open > viewers;
  tile('messages', known(now.messages, count), `${count(counts.messages)} in total`);
  tile('bytes', known(now.bytes, bytes), `${bytes(counts.bytes)} in total`);
  tile('turnover', known(now.opened, signed('+')), `${known(now.closed, signed('−'))} closed`);
  tile('memory', known(now.perConnection, bytes), `${bytes(rssBytes)} in total, including the process itself`);
  tile('unsent', bytes(bufferedBytes), bufferedBytes > 0 ? 'queued for clients' : 'nothing is queued');
  tile('delay', milliseconds(eventLoopDelayMs.p99), `p99 of 10 s · p50 ${milliseconds(eventLoopDelayMs.p50)}`);
}

function showEnds({ counts }) {
  const before = history.ago(60).counts;
  const rowsOf = (reasons, now, then) =>
    Object.entries(reasons).map(([reason, text]) => [text, count(Math.max(0, now[reason] - then[reason])), count(now[reason])]);
  const rejected = rowsOf(rejectReasons, counts.rejectedBy, before.rejectedBy).filter(([, , all]) => all !== '0');
  fill($('#ends tbody'), [...rowsOf(endReasons, counts.closed, before.closed), ...rejected]);
  for (const row of $('#ends').tBodies[0].rows) row.classList.toggle('none', row.cells[2].textContent === '0');
}

/** The feeds that are shown. They keep their places while the pointer or the focus is on the table. */
let shown = [];

function showBusiest({ busiest, counts }) {
  const table = $('#busiest');
  const isSecret = busiest === null;
  $('#no-feeds').hidden = isSecret || counts.feeds > 0;
  table.hidden = isSecret || busiest.length === 0;
  write(
    $('#busiest-more'),
    isSecret ? 'Hidden: reading needs a token, and FEED_DASHBOARD_KEY is not set.' : `${count(counts.feeds)} followed`,
  );
  if (isSecret) return;
  const subscribers = new Map(busiest.map(({ id, subscribers }) => [id, subscribers]));
  const now = busiest.map(({ id }) => id);
  shown = table.matches(':hover, :focus-within') ? [...new Set([...shown, ...now])].slice(0, Math.max(shown.length, now.length)) : now;
  fill(
    table.tBodies[0],
    shown.map((id) => [id, subscribers.has(id) ? count(subscribers.get(id)) : '']),
    true,
  );
}

$('#busiest tbody').addEventListener('click', ({ target }) => {
  const button = target.closest('button');
  if (button) follower.pick(button.textContent);
});

function showProcesses({ workers, nodes, counts }) {
  const missing = counts.workers?.missing ?? [];
  const several = [workers.length + missing.length > 1, nodes.length > 1];
  $('#processes').hidden = !several.includes(true);
  $('#workers').parentElement.hidden = !several[0];
  $('#nodes').parentElement.hidden = !several[1];
  fill($('#workers tbody'), [
    ...workers.map(({ number, open, rssBytes, delayMs }) => [`${number}`, count(open), bytes(rssBytes), milliseconds(delayMs)]),
    ...missing.map((pid) => [`process ${pid} does not respond`, '–', '–', '–']),
  ]);
  fill(
    $('#nodes tbody'),
    nodes.map(({ name, open, feeds: followed, messages, bufferedBytes }) => [
      name,
      count(open),
      count(followed),
      count(messages),
      bytes(bufferedBytes),
    ]),
  );
}

let numbers;
let state = 'connecting';

/** The most important notice, if there is any. */
function notice() {
  if (state === 'lost') {
    const since = numbers ? ` The numbers are from ${clock(numbers.time)}.` : '';
    return `The service does not respond.${since} This page keeps trying.`;
  }
  if (!numbers) return '';
  const { broker, isDraining, counts } = numbers;
  if (isDraining) return 'The service is shutting down: it ends its connections and rejects new ones.';
  if (broker.unavailableSince !== undefined) {
    const name = broker.name.replace(/^./, (first) => first.toUpperCase());
    return `${name} has been unavailable since ${clock(broker.unavailableSince)}: messages are rejected. Connections stay open.`;
  }
  if (state === 'polling' && counts.limit !== null && counts.open >= counts.limit) {
    return `All ${count(counts.limit)} connections are taken, so this page polls every two seconds.`;
  }
  if (state === 'polling') return 'This page cannot follow the feed of its numbers, so it polls every two seconds.';
  return '';
}

const states = { connecting: 'connecting', live: 'live', polling: 'polling', lost: 'connection lost' };

function showState() {
  body.dataset.state = state;
  write($('#state'), states[state]);
  write($('#notice'), notice());
  $('#notice').hidden = $('#notice').textContent === '';
  body.dataset.notice = state !== 'lost' && numbers?.broker.unavailableSince !== undefined ? 'unavailable' : '';
  document.title = numbers && state !== 'lost' ? `${count(numbers.counts.open)} open – nestjs-feed` : 'nestjs-feed';
}

write($('#curl'), `curl -N ${new URL(`${feeds}/42`, location.href)}`);

followNumbers(
  (latest) => {
    numbers = latest;
    const now = history.add(latest);
    showCounts(latest, now);
    showEnds(latest);
    showBusiest(latest);
    showProcesses(latest);
    const { name, unavailableSince } = latest.broker;
    write($('#broker'), `broker: ${name}${unavailableSince === undefined ? '' : ' (unavailable)'}`);
    for (const redraw of charts) redraw();
  },
  (now) => {
    if (now === state && now === 'lost') return;
    state = now;
    showState();
  },
);
