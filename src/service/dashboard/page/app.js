import { chart } from './charts.js';
import { Follower } from './follow.js';
import { History } from './history.js';
import { watch } from './live.js';
import { fill, write } from './table.js';
import { bytes, clock, count, ends, milliseconds, refusals } from './words.js';

const { body } = document;
const { feeds, token } = body.dataset;
const $ = (selector) => document.querySelector(selector);
const history = new History();
const follower = new Follower(feeds, token === 'true');
const redraw = [];

const draw = (selector, options) => redraw.push(chart($(selector), history, options));
draw('#open-chart', { names: ['open'], say: count, floor: 10, axes: true });
draw('#messages .chart', { names: ['messages'], say: count, floor: 10 });
draw('#bytes .chart', { names: ['bytes'], say: bytes, floor: 1024 });
draw('#turnover .chart', { names: ['opened', 'closed'], say: count, floor: 10 });
draw('#memory .chart', { names: ['perConnection'], say: bytes, log: true });
draw('#unsent .chart', { names: ['unsent'], say: bytes, floor: 65_536 });
draw('#delay .chart', { names: ['delay'], say: milliseconds, floor: 20 });

/** Writes a tile's value, and what is to be said of it in smaller letters. */
function tile(id, value, more) {
  write($(`#${id} .value`), value);
  write($(`#${id} .more`), more);
}

const known = (value, say) => (value === null ? '–' : say(value));

/** A number with its sign, where it is not 0. */
const signed = (sign) => (value) => `${value > 0 ? sign : ''}${count(value)}`;

function showCounts({ counts, viewers }, now) {
  const { open, peak, opened, limit, rssBytes, bufferedBytes, eventLoopDelayMs } = counts;
  write($('#open'), count(open));
  const own = viewers === 1 ? 'this page among them' : `${count(viewers)} of them dashboards`;
  const more = [limit !== null && `of ${count(limit)}`, viewers > 0 && own, `peak ${count(peak)}`, `${count(opened)} opened in all`];
  write($('#open-more'), more.filter(Boolean).join(' · '));
  body.dataset.load = limit !== null && open >= limit * 0.95 ? 'high' : '';
  $('#nobody').hidden = open > viewers;
  tile('messages', known(now.messages, count), `${count(counts.messages)} in all`);
  tile('bytes', known(now.bytes, bytes), `${bytes(counts.bytes)} in all`);
  tile('turnover', known(now.opened, signed('+')), `${known(now.closed, signed('−'))} closed`);
  tile('memory', known(now.perConnection, bytes), `${bytes(rssBytes)} in all, the process itself included`);
  tile('unsent', bytes(bufferedBytes), bufferedBytes > 0 ? 'wait for clients to read' : 'nothing is waiting');
  tile('delay', milliseconds(eventLoopDelayMs.p99), `p99 of 10 s · p50 ${milliseconds(eventLoopDelayMs.p50)}`);
}

function showEnds({ counts }) {
  const before = history.ago(60).counts;
  const rowsOf = (words, now, then) =>
    Object.entries(words).map(([reason, word]) => [word, count(Math.max(0, now[reason] - then[reason])), count(now[reason])]);
  const refused = rowsOf(refusals, counts.rejectedBy, before.rejectedBy).filter(([, , all]) => all !== '0');
  fill($('#ends tbody'), [...rowsOf(ends, counts.closed, before.closed), ...refused]);
  for (const row of $('#ends').tBodies[0].rows) row.classList.toggle('none', row.cells[2].textContent === '0');
}

/** The feeds that are shown; while somebody is about to pick one, they stay where they are. */
let shown = [];

function showBusiest({ busiest, counts }) {
  const table = $('#busiest');
  const isSecret = busiest === null;
  $('#no-feeds').hidden = isSecret || counts.feeds > 0;
  table.hidden = isSecret || busiest.length === 0;
  write(
    $('#busiest-more'),
    isSecret ? 'Not told without FEED_DASHBOARD_KEY: reading needs a token here.' : `${count(counts.feeds)} followed`,
  );
  if (isSecret) return;
  const followers = new Map(busiest.map(({ id, followers }) => [id, followers]));
  const now = busiest.map(({ id }) => id);
  shown = table.matches(':hover, :focus-within') ? [...new Set([...shown, ...now])].slice(0, Math.max(shown.length, now.length)) : now;
  fill(
    table.tBodies[0],
    shown.map((id) => [id, followers.has(id) ? count(followers.get(id)) : '']),
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
    ...missing.map((pid) => [`process ${pid} does not answer`, '–', '–', '–']),
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

/** What people should know before they read a number: the worst of it. */
function notice() {
  if (state === 'lost') {
    const since = numbers ? ` These are the numbers of ${clock(numbers.time)}.` : '';
    return `The service does not answer.${since} This page goes on trying.`;
  }
  if (!numbers) return '';
  const { broker, isDraining, counts } = numbers;
  if (isDraining) return 'The service is shutting down: feeds are being ended, and new ones refused.';
  if (broker.unavailableSince !== undefined) {
    const name = broker.name.replace(/^./, (first) => first.toUpperCase());
    return `${name} has been away since ${clock(broker.unavailableSince)}: what is published is refused. Open feeds stay, and get what they missed.`;
  }
  if (state === 'asking' && counts.limit !== null && counts.open >= counts.limit) {
    return `All ${count(counts.limit)} connections are taken, so this page asks every two seconds instead of following.`;
  }
  if (state === 'asking') return 'This page cannot follow the numbers now, so it asks for them every two seconds instead.';
  return '';
}

const states = { connecting: 'connecting', live: 'live', asking: 'asking', lost: 'connection lost' };

function showState() {
  body.dataset.state = state;
  write($('#state'), states[state]);
  write($('#notice'), notice());
  $('#notice').hidden = $('#notice').textContent === '';
  body.dataset.notice = state !== 'lost' && numbers?.broker.unavailableSince !== undefined ? 'away' : '';
  document.title = numbers && state !== 'lost' ? `${count(numbers.counts.open)} open – nestjs-feed` : 'nestjs-feed';
}

write($('#curl'), `curl -N ${new URL(`${feeds}/42`, location.href)}`);

watch(
  (told) => {
    numbers = told;
    const now = history.add(told);
    showCounts(told, now);
    showEnds(told);
    showBusiest(told);
    showProcesses(told);
    write($('#broker'), `broker: ${told.broker.name}${told.broker.unavailableSince === undefined ? '' : ' (away)'}`);
    for (const draw of redraw) draw();
  },
  (now) => {
    if (now === state && now === 'lost') return;
    state = now;
    showState();
  },
);
