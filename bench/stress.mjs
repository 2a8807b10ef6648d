// What must hold at scale, each with its figure: `npm run stress`. It is described in README.md, beside this file.
import { readFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { connect } from 'node:net';
import { parseArgs } from 'node:util';
import { move } from '../chaos/move.mjs';
import { serve } from './child.mjs';
import { environment, servers } from './servers.mjs';
import { decimals, table } from './table.mjs';

const usage = `Usage: npm run stress -- [options]

      --only A,B         only those of: readers, limit, drain, move, delay
      --adapter NAME     express or fastify    (express)
      --seconds S        how long readers are published to    (60)
  -h, --help             show this

Exit code: 0; 1 when something does not hold; 2 when an option is wrong.
`;

const key = 'stress';
const agent = new Agent({ keepAlive: true, maxSockets: 32 });

const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const say = (line) => console.error(line);

/** Resident memory of a process, in bytes. */
const rss = (pid) => Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))[1]) * 1024;

function percentile(values, share) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * share) - 1)];
}

/** Starts the service as `npm start` does; `descriptors` is its limit on open files. */
async function start(adapter, env, descriptors) {
  const { command, args, env: own } = await servers.find(({ name }) => name.toLowerCase() === `service ${adapter}`).prepare();
  const all = environment(0, { ...own, FEED_PUBLISH_KEY: key, ...env });
  if (!descriptors) return serve(command, args, all);
  return serve('sh', ['-c', `ulimit -n ${descriptors}; exec "$0" "$@"`, command, ...args], all);
}

/** Asks for something over a kept connection: the status, the time it took in milliseconds, and the answer. */
function ask(url, { method = 'GET', body, headers = {} } = {}) {
  const begun = performance.now();
  return new Promise((resolve, reject) => {
    const outgoing = request(url, { method, agent, headers }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part) => {
        text += part;
      });
      response.on('end', () => resolve({ status: response.statusCode, ms: performance.now() - begun, text }));
      response.on('error', reject);
    });
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}

const publish = (url, body) =>
  ask(url, { method: 'POST', body, headers: { authorization: `Bearer ${key}`, 'content-type': 'text/plain' } });

const counts = async (url) => JSON.parse((await ask(`${url}/health/connections`)).text);

/** A follower that counts messages `#1;`, `#2;`, … and how its connection ends. */
class Follower {
  status = 0;
  next = 1;
  faults = 0;
  largestSilence = 0;
  firstByteMs = 0;
  /** `end` after the last chunk, `cut` without, `reset`, or undefined. */
  ended = undefined;
  #last = 0;
  #tail = Buffer.alloc(0);
  #begun = performance.now();

  constructor(url, path) {
    const { hostname, port, host } = new URL(url);
    this.socket = connect({ host: hostname, port: Number(port) });
    this.socket.write(`GET ${path} HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
    this.opened = new Promise((resolve) => {
      this.socket.on('data', (bytes) => {
        this.#take(bytes);
        resolve();
      });
      this.socket.on('close', resolve);
    });
    this.socket.on('error', () => {
      this.ended = 'reset';
    });
    this.closed = new Promise((resolve) => {
      this.socket.on('close', () => {
        this.ended ??= this.#tail.toString('latin1').endsWith('0\r\n\r\n') ? 'end' : 'cut';
        resolve();
      });
    });
  }

  #take(bytes) {
    const now = performance.now();
    if (this.status === 0) {
      this.status = Number(bytes.toString('latin1', 9, 12));
      this.firstByteMs = now - this.#begun;
    }
    const all = Buffer.concat([this.#tail, bytes]);
    let at = 0;
    for (let mark = all.indexOf(0x23); mark >= 0; mark = all.indexOf(0x23, at)) {
      const end = all.indexOf(0x3b, mark);
      if (end < 0) break;
      at = end + 1;
      const number = Number(all.toString('latin1', mark + 1, end));
      if (number !== this.next) this.faults += 1;
      this.next = number + 1;
      if (this.#last > 0) this.largestSilence = Math.max(this.largestSilence, now - this.#last);
      this.#last = now;
    }
    this.#tail = all.subarray(Math.max(at, all.length - 16));
  }
}

/** Opens followers, so many a second. */
async function open(url, count, rate, pathOf) {
  const followers = [];
  const begun = performance.now();
  while (followers.length < count) {
    const due = Math.min(count, Math.ceil(((performance.now() - begun) * rate) / 1000));
    while (followers.length < due) followers.push(new Follower(url, pathOf(followers.length)));
    await wait(5);
  }
  await Promise.all(followers.map(({ opened }) => opened));
  return followers;
}

const megabytes = (bytes) => `${decimals(bytes / 1024 ** 2, 1)} MB`;

/** 900 that read and 100 that never do get the same messages: those that read lose nothing, and memory stays bounded. */
async function readers({ adapter, seconds }) {
  const bufferBytes = 65_536;
  const bytes = 16_384;
  const [reading, clogged, perSecond] = [900, 100, 8];
  const server = await start(adapter, { FEED_BUFFER_BYTES: `${bufferBytes}` });
  try {
    const all = await open(server.url, reading + clogged, 500, () => '/test/all');
    const bad = all.splice(0, clogged);
    for (const { socket } of bad) socket.pause();
    await wait(5000); // until the heap has settled
    const base = rss(server.pid);
    let highest = base;
    const begun = performance.now();
    let sent = 0;
    for (; sent < seconds * perSecond; ) {
      sent += 1;
      const { status } = await publish(`${server.url}/test/all`, `#${sent};`.padEnd(bytes, 'x'));
      if (status !== 201) throw new Error(`published with status ${status}`);
      highest = Math.max(highest, rss(server.pid));
      await wait(Math.max(0, begun + (sent * 1000) / perSecond - performance.now()));
    }
    const givesUp = performance.now() + 10_000;
    while (all.some(({ next }) => next <= sent) && performance.now() < givesUp) await wait(50);
    const { closed } = await counts(server.url);
    const lost = all.reduce((sum, { next, faults }) => sum + faults + Math.max(0, sent + 1 - next), 0);
    const silence = Math.max(...all.map(({ largestSilence }) => largestSilence));
    const share = clogged * bufferBytes + reading * bytes;
    for (const { socket } of [...all, ...bad]) socket.destroy();
    return [
      ['readers: messages lost', `${lost} of ${reading * sent}`, '0', lost === 0],
      ['readers: largest silence', `${decimals(silence, 0)} ms`, '< 2,000 ms', silence < 2000],
      ['readers: RSS beyond its base', megabytes(highest - base), `≤ ${megabytes(share)}`, highest - base <= share],
      [
        'readers: that never read, ended slow or stalled',
        `${closed.slow + closed.stalled}`,
        `${clogged}`,
        closed.slow + closed.stalled === clogged,
      ],
    ];
  } finally {
    await server.stop();
  }
}

/** More connections are asked of a process than it has descriptors for. */
async function limit({ adapter }) {
  const [descriptors, asked] = [10_240, 15_000];
  const server = await start(adapter, {}, descriptors);
  try {
    const others = [];
    let isOver = false;
    const asking = (async () => {
      while (!isOver) {
        others.push(await ask(`${server.url}/health`), await publish(`${server.url}/test/7`, '#1;'));
        await wait(50);
      }
    })();
    const all = await open(server.url, asked, 1000, (n) => `/test/${n}`);
    isOver = true;
    await asking;
    const refused = all.filter(({ status }) => status === 503);
    const taken = all.filter(({ status }) => status === 200);
    const p99 = percentile(
      refused.map(({ firstByteMs }) => firstByteMs),
      0.99,
    );
    const failed = others.filter(({ status }) => status !== 200 && status !== 201 && status !== 503);
    const health = await ask(`${server.url}/health/live`);
    const { open: there, limit: most, rejected } = await counts(server.url);
    for (const { socket } of all) socket.destroy();
    return [
      ['limit: taken', `${taken.length}`, `${most}`, taken.length === most && there === most],
      ['limit: refused with 503', `${refused.length}`, `${asked - most}`, refused.length === asked - most && rejected === refused.length],
      ['limit: a refusal, p99', `${decimals(p99, 1)} ms`, '≤ 100 ms', p99 <= 100],
      [
        'limit: health and POST answered meanwhile',
        `${others.length - failed.length} of ${others.length}`,
        'all',
        failed.length === 0 && health.status === 200,
      ],
    ];
  } finally {
    await server.stop();
  }
}

/** A shutdown with many connections and messages on their way. */
async function drain({ adapter }) {
  const [count, drainMs] = [10_000, 10_000];
  const server = await start(adapter, { FEED_DRAIN_MS: `${drainMs}` });
  const all = await open(server.url, count, 1000, (n) => `/test/${n}`);
  const acknowledged = new Array(count).fill(0);
  let isOver = false;
  const publishing = (async () => {
    while (!isOver) {
      const n = Math.floor(Math.random() * count);
      const sent = acknowledged[n] + 1;
      const answer = await publish(`${server.url}/test/${n}`, `#${sent};`).catch(() => undefined);
      if (answer?.status === 201 && all[n].ended === undefined) acknowledged[n] = sent;
      await wait(2);
    }
  })();
  await wait(2000);
  const begun = performance.now();
  const code = await server.stop();
  const took = performance.now() - begun;
  isOver = true;
  await publishing;
  await Promise.all(all.map(({ closed }) => closed));
  const orderly = all.filter(({ ended }) => ended === 'end').length;
  const lost = all.reduce((sum, { next, faults }, n) => sum + faults + Math.max(0, acknowledged[n] + 1 - next), 0);
  return [
    ['drain: connections that came to an orderly end', `${orderly}`, `${count}`, orderly === count],
    ['drain: messages lost of those acknowledged before', `${lost} of ${acknowledged.reduce((a, b) => a + b)}`, '0', lost === 0],
    [
      'drain: the process ended after',
      `${decimals(took, 0)} ms, ${code}`,
      `≤ ${drainMs + 1000} ms, exit 0`,
      took <= drainMs + 1000 && code === 'exit 0',
    ],
  ];
}

/** The event loop's delay with a chunk a second on each of many connections. */
async function delay({ adapter }) {
  const server = await start(adapter, { FEED_INTERVAL_MS: '1000' });
  try {
    const all = await open(server.url, 10_000, 1000, (n) => `/test/${n}`);
    await wait(25_000); // the window is 10 to 20 seconds, and must not reach back into the ramp
    const { eventLoopDelayMs, open: there } = await counts(server.url);
    for (const { socket } of all) socket.destroy();
    return [
      [
        'delay: of the event loop, p99, with 10,000 chunks a second',
        `${eventLoopDelayMs.p99} ms`,
        '< 20 ms',
        eventLoopDelayMs.p99 < 20 && there === 10_000,
      ],
    ];
  } finally {
    await server.stop();
  }
}

/** As `drain`, with another process to go to. */
async function moving({ adapter }) {
  const [count, drainMs] = [10_000, 10_000];
  const { code, tookMs, moved, torn, acknowledged, unacknowledged, faults } = await move({ adapter, count, drainMs });
  const bad = Object.values(faults).reduce((sum, number) => sum + number, 0);
  return [
    [
      'move: connections that came to an orderly end, and are on the other node',
      `${moved - torn}`,
      `${count}`,
      torn === 0 && moved === count,
    ],
    ['move: messages lost, repeated or out of order', `${bad} of ${acknowledged}`, '0', bad === 0 && acknowledged > 0],
    ['move: publishes that were not acknowledged', `${unacknowledged}`, '0', unacknowledged === 0],
    [
      'move: the process ended after',
      `${decimals(tookMs, 0)} ms, ${code}`,
      `≤ ${drainMs + 1000} ms, 0`,
      tookMs <= drainMs + 1000 && code === 0,
    ],
  ];
}

const scenarios = { readers, limit, drain, move: moving, delay };

let options;
try {
  const { values } = parseArgs({
    options: {
      only: { type: 'string', default: Object.keys(scenarios).join(',') },
      adapter: { type: 'string', default: 'express' },
      seconds: { type: 'string', default: '60' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  const names = values.only.split(',');
  const unknown = names.find((name) => !Object.hasOwn(scenarios, name));
  if (unknown !== undefined) throw new Error(`--only must be some of ${Object.keys(scenarios).join(', ')}, not ${unknown}`);
  if (!['express', 'fastify'].includes(values.adapter)) throw new Error(`--adapter must be express or fastify, not ${values.adapter}`);
  if (!(Number(values.seconds) >= 1)) throw new Error(`--seconds must be a number from 1, not ${values.seconds}`);
  options = { ...values, names, seconds: Number(values.seconds) };
} catch (error) {
  say(`${error.message}\n\n${usage}`);
  process.exit(2);
}
if (options.help) {
  console.log(usage);
  process.exit(0);
}

const rows = [];
for (const name of options.names) {
  say(`${name} …`);
  rows.push(...(await scenarios[name](options)));
}
console.log(
  `\n${table(
    ['what', 'figure', 'must be', 'ok'],
    rows.map(([what, figure, bound, ok]) => [what, figure, bound, ok ? 'ok' : 'FAILED']),
  )}`,
);
process.exitCode = rows.every(([, , , ok]) => ok) ? 0 : 1;
process.exit();
