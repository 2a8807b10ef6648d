import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { Feed } from '../lib/feed.js';
import { type Check, check, decimals, none, percentile } from '../lib/figures.js';
import { Crowd } from '../lib/follower.js';
import { Publisher } from '../lib/publisher.js';
import { Server, using } from '../lib/server.js';
import { Service } from '../lib/service.js';
import { sleep } from '../lib/waits.js';
import type { Arrivals } from './arrivals.js';
import { open, Reader } from './crowds.js';

interface OverloadOptions {
  adapter: string;
  connections: number;
}

/** How many come a second: more than twice as many as a process opens. */
const perSecond = 5000;
/** Those that come first, so many a second that all are opened: the code of a process that has just started is not compiled yet. */
const [firstCount, firstPerSecond] = [3000, 1000];
/** Those that are there before. */
const reading = 100;

/** Has clients come, and waits for what they have seen. */
async function arrive(count: number, perSecond: number, url: URL): Promise<Arrivals> {
  const args = [fileURLToPath(new URL('arrivals.js', import.meta.url)), `${count}`, `${perSecond}`, url.href];
  const clients = new Server({ command: process.execPath, args, isWatched: true });
  const [arrivals] = await once(clients.child, 'message');
  process.stderr.write(clients.complaints);
  await clients.stop();
  return arrivals as Arrivals;
}

/** Clients come faster than connections are opened: each is answered, those that are taken soon, and open feeds keep their pace. */
export async function overload({ adapter, connections }: OverloadOptions): Promise<Check[]> {
  const asked = connections * 2;
  return using(new Service({ FEED_ADAPTER: adapter, FEED_MAX_OPEN_DELAY_MS: '500' }), async (service) => {
    await arrive(firstCount, firstPerSecond, service.url);
    const { rejectedBy: before } = await service.counts();
    const feed = new Feed('all');
    const crowd = new Crowd();
    const readers = await open(reading, 500, service.url, () => new Reader(crowd, [feed]));
    const publisher = new Publisher((_, message) => service.publish('all', message).then((why) => !why));
    publisher.start(
      8,
      () => (feed.isBusy ? undefined : feed),
      () => 100,
    );
    const others: { status: number; tookMs: number }[] = [];
    let isOver = false;
    const asking = (async () => {
      for (; !isOver; await sleep(50)) {
        const begun = performance.now();
        const { status } = await service.ask('/health');
        others.push({ status, tookMs: performance.now() - begun });
      }
    })();
    const { taken, refused, closed, takenMs, refusedMs } = await arrive(asked, perSecond, service.url);
    isOver = true;
    await asking;
    await publisher.stop();
    const { rejectedBy } = await service.counts();
    const counted = rejectedBy.overload - before.overload;
    const silenceMs = Math.max(...readers.map(({ largestSilenceMs }) => largestSilenceMs));
    crowd.leave();
    const healthMs = percentile(
      others.map(({ tookMs }) => tookMs),
      1,
    );
    const isHealthy = others.every(({ status }) => status === 200) && healthMs <= 1000;
    const answered = taken + refused;
    return [
      check('overload: answered with 200 or 503', `${answered} of ${asked}`, 'all', answered === asked),
      none('overload: closed without an answer', closed),
      check('overload: taken', `${taken}`, `≥ ${asked / 10}`, taken >= asked / 10),
      check('overload: first byte of those taken, p99', `${decimals(takenMs)} ms`, '≤ 1,000 ms', takenMs <= 1000),
      check('overload: a refusal, p99', `${decimals(refusedMs)} ms`, '≤ 1,000 ms', refusedMs <= 1000),
      check('overload: refused and counted', `${counted}`, `${refused}`, counted === refused),
      check('overload: largest silence of those that were open', `${decimals(silenceMs)} ms`, '≤ 500 ms', silenceMs <= 500),
      check('overload: slowest answer of /health', `${decimals(healthMs)} ms`, '≤ 1,000 ms', isHealthy),
    ];
  });
}
