// What must hold at scale, each with its figure: `npm run stress`. See load/README.md.
import { adapter, list, number, readOptions, whole } from '../lib/command.js';
import { Feed } from '../lib/feed.js';
import { type Check, check, checkTable, decimals, megabytes, percentile, sum } from '../lib/figures.js';
import { Crowd } from '../lib/follower.js';
import { Publisher } from '../lib/publisher.js';
import { main, rssBytes, using } from '../lib/server.js';
import { Service, startOf } from '../lib/service.js';
import { sleep, until } from '../lib/waits.js';
import { control } from './control.js';
import { Idler, open, Reader } from './crowds.js';
import { drain, move } from './drain.js';
import { finished } from './finished.js';
import { history, resumes } from './history.js';
import { idle } from './idle.js';
import { opening, storm } from './opening.js';
import { overload } from './overload.js';
import { slowRedis } from './slow-redis.js';

interface StressOptions {
  adapter: 'express' | 'fastify';
  connections: number;
  feeds: number;
  nodes: number;
  seconds: number;
}

/** 900 that read and 100 that never do get the same messages: those that read lose nothing, and memory stays bounded. */
async function readers({ adapter, seconds }: StressOptions): Promise<Check[]> {
  const [bufferBytes, bytes] = [65_536, 16_384];
  const [reading, clogged, perSecond] = [900, 100, 8];
  return using(new Service({ FEED_ADAPTER: adapter, FEED_BUFFER_BYTES: `${bufferBytes}` }), async (service) => {
    const { url, pid } = service;
    const feed = new Feed('all');
    const crowd = new Crowd();
    for (const { connection } of await open(clogged, 500, url, () => new Idler(crowd, [feed]))) connection.pause();
    const all = await open(reading, 500, url, () => new Reader(crowd, [feed]));
    await sleep(5000); // until the heap has settled
    const base = rssBytes(pid);
    let highest = base;
    const watch = () => {
      highest = Math.max(highest, rssBytes(pid));
    };
    const watching = setInterval(watch, 50);
    const publisher = new Publisher((_, message) => service.publish('all', message).then((why) => !why));
    const next = () => (feed.isBusy ? undefined : feed);
    publisher.start(perSecond, next, () => bytes);
    await sleep(seconds * 1000);
    await publisher.stop();
    await until(() => all.every(({ missing }) => missing === 0), 10_000);
    clearInterval(watching);
    const { closed } = await service.counts();
    crowd.leave();
    const lost = crowd.faults.count + sum(all.map(({ missing }) => missing));
    const silence = Math.max(...all.map(({ largestSilenceMs }) => largestSilenceMs));
    const share = clogged * bufferBytes + reading * bytes;
    const ended = closed.slow + closed.stalled;
    return [
      check('readers: messages lost', `${lost} of ${reading * feed.sent}`, '0', lost === 0 && publisher.unacknowledged === 0),
      check('readers: largest silence', `${decimals(silence)} ms`, '< 2,000 ms', silence < 2000),
      check('readers: RSS beyond its base', megabytes(highest - base), `≤ ${megabytes(share)}`, highest - base <= share),
      check('readers: that never read, ended slow or stalled', `${ended}`, `${clogged}`, ended === clogged),
    ];
  });
}

/** More connections are asked of a process than it has descriptors for. */
async function limit({ adapter, connections }: StressOptions): Promise<Check[]> {
  const asked = connections * 1.5;
  const { command, args } = startOf({});
  const limited = ['-c', `ulimit -n ${connections + 240}; exec "$0" "$@"`, command, ...args];
  return using(new Service({ FEED_ADAPTER: adapter }, { command: 'sh', args: limited }), async (service) => {
    const others: number[] = [];
    let isOver = false;
    const asking = (async () => {
      for (; !isOver; await sleep(50)) {
        const answers = [await service.ask('/health'), await service.post('/test/other', '#')];
        others.push(...answers.map(({ status }) => status));
      }
    })();
    const crowd = new Crowd();
    const all = await open(asked, 1000, service.url, (n) => new Idler(crowd, [new Feed(`${n}`)]));
    isOver = true;
    await asking;
    const [taken, refused] = [200, 503].map((wanted) => all.filter(({ status }) => status === wanted));
    const p99 = percentile(
      refused.map(({ firstByteMs }) => firstByteMs),
      0.99,
    );
    const answered = others.filter((status) => [200, 201, 503].includes(status)).length;
    const health = await service.ask('/health/live');
    const { open: there, limit: most, rejected } = await service.counts();
    crowd.leave();
    const isRejected = refused.length === asked - most && rejected === refused.length;
    const isAnswered = answered === others.length && health.status === 200;
    return [
      check('limit: taken', `${taken.length}`, `${most}`, taken.length === most && there === most),
      check('limit: refused with 503', `${refused.length}`, `${asked - most}`, isRejected),
      check('limit: a refusal, p99', `${decimals(p99, 1)} ms`, '≤ 100 ms', p99 <= 100),
      check('limit: health and POST answered meanwhile', `${answered} of ${others.length}`, 'all', isAnswered),
    ];
  });
}

/** The event loop's delay with a chunk a second on each of many connections. */
async function delay({ adapter, connections }: StressOptions): Promise<Check[]> {
  return using(new Service({ FEED_ADAPTER: adapter, FEED_INTERVAL_MS: '1000' }), async (service) => {
    const crowd = new Crowd();
    await open(connections, 1000, service.url, (n) => new Idler(crowd, [new Feed(`${n}`)]));
    await sleep(25_000); // the window is 10 to 20 seconds, and must not reach back into the ramp
    const { eventLoopDelayMs, open: there } = await service.counts();
    crowd.leave();
    const { p99 } = eventLoopDelayMs;
    const what = `delay: of the event loop, p99, with ${decimals(connections)} chunks a second`;
    return [check(what, `${p99} ms`, '< 20 ms', p99 < 20 && there === connections)];
  });
}

const scenarios: Record<string, (options: StressOptions) => Promise<Check[]>> = {
  readers,
  limit,
  overload,
  drain,
  move,
  delay,
  history,
  finished,
  resumes,
  opening,
  storm,
  'slow-redis': slowRedis,
  control,
  idle,
};
const names = Object.keys(scenarios).join(',');

const options = readOptions(
  'stress',
  {
    only: list('some of these only', 'A,B', names, (name) => {
      if (!Object.hasOwn(scenarios, name)) throw new Error(`must be some of ${names}`);
      return name;
    }),
    adapter: adapter(),
    seconds: number('how long readers are published to, Redis is slow, and nodes are idle', 60),
    connections: whole(
      'connections of drain, move, delay, opening and storm; control has nine tenths; limit and slow-redis have half as many again, overload twice as many',
      10_000,
      200,
      10_000,
    ),
    feeds: whole('feeds of finished', 1_000_000, 1000, 10_000_000),
    nodes: whole('idle nodes on one broker', 56, 2, 200),
  },
  'Exit code: 0; 1 when something does not hold; 2 when an option is wrong.',
);

await main(async () => {
  const checks: Check[] = [];
  for (const name of options.only) {
    process.stderr.write(`${name} …\n`);
    checks.push(...(await scenarios[name](options)));
  }
  process.stdout.write(`\n${checkTable(checks)}\n`);
  return checks.every(({ ok }) => ok);
});
