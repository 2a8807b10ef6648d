import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { Engine } from '../../tools/engines.mjs';
import { Feed } from '../lib/feed.js';
import { type Check, check, decimals, none, sum } from '../lib/figures.js';
import { inTurn, Publisher } from '../lib/publisher.js';
import { RoamingCrowd, startNode } from '../lib/roaming.js';
import { atEnd, cpuSeconds } from '../lib/server.js';
import type { Service } from '../lib/service.js';
import { sleep, until } from '../lib/waits.js';
import type { Visits } from './visitors.js';

interface SlowRedisOptions {
  adapter: string;
  connections: number;
  seconds: number;
}

/** The share of a core that Redis is held to with 10,000 connections; with fewer, less. */
const fullShare = 0.1;
/** How long all may take to be well again, in milliseconds. */
const mostAfterMs = 30_000;
/** How long all is well before, in milliseconds, and how many messages are published a second. */
const [beforeMs, publishedPerSecond] = [10_000, 50];

/** Has clients come to some nodes; returns what they have seen so far. */
function visit(nodes: readonly Service[], count: number, perSecond: number): () => Visits {
  const program = fileURLToPath(new URL('visitors.js', import.meta.url));
  const child = fork(program, [`${count}`, `${perSecond}`, ...nodes.map(({ url }) => url.href)]);
  atEnd(() => child.kill());
  let visits: Visits = { come: 0, outside: 0, answers: {}, refusedMs: 0, retryMs: 0, wellMs: 0 };
  child.on('message', (message) => {
    visits = message as Visits;
  });
  return () => visits;
}

/** Notes when nodes say that the broker is not well. */
class Watch {
  lastBadAt = 0;
  /** Each of them once, by node and beginning. */
  readonly outages = new Set<string>();
  readonly #timer = setInterval(() => void this.#look(), 250);

  constructor(private readonly nodes: readonly Service[]) {}

  stop(): void {
    clearInterval(this.#timer);
  }

  async #look(): Promise<void> {
    for (const node of this.nodes) {
      const { status, text } = await node.ask('/health/ready').catch(() => ({ status: 0, text: '{}' }));
      const { state, unavailableSince } = JSON.parse(text).details?.broker ?? {};
      if (status !== 200 || state !== 'ok') this.lastBadAt = performance.now();
      if (unavailableSince !== undefined) this.outages.add(`${node.pid} ${unavailableSince}`);
    }
  }
}

const said = (counts: Record<string, number>) =>
  Object.entries(counts)
    .map(([what, count]) => `${decimals(count)} × ${what}`)
    .join(', ');

/** Three nodes whose Redis gets a tenth of a core for a time, while new ones come without end. */
export async function slowRedis({ adapter, connections, seconds }: SlowRedisOptions): Promise<Check[]> {
  const [followers, newPerSecond] = [Math.round(connections * 1.5), Math.round(connections / 20)];
  const share = (fullShare * connections) / 10_000;
  const slowMs = seconds * 1000;
  const engine = await Engine.start('redis');
  atEnd(() => engine.stop());
  const env = { FEED_ADAPTER: adapter, FEED_BROKER: engine.url };
  const nodes: Service[] = [];
  for (const name of ['one', 'two', 'three']) nodes.push(await startNode(name, env));
  const crowd = new RoamingCrowd(nodes);
  const feeds = Array.from({ length: followers }, (_, n) => new Feed(`${n}`));
  await crowd.gather(followers, feeds, 1000);
  const publisher = new Publisher(async (feed, text) => !(await crowd.anyNode().publish(feed.name, text)));
  publisher.start(publishedPerSecond, inTurn(feeds));
  const count = (newPerSecond * (beforeMs + slowMs + mostAfterMs)) / 1000;
  const visits = visit(nodes, count, newPerSecond);
  await sleep(beforeMs);

  const watch = new Watch(nodes);
  const cpuBefore = cpuSeconds(engine.pid);
  const stop = engine.slow(share);
  await sleep(slowMs);
  const during = { ...visits().answers };
  const { outside } = visits();
  const cpuShare = (cpuSeconds(engine.pid) - cpuBefore) / seconds;
  await stop();
  const endedAt = performance.now();

  await until(() => visits().come === count && visits().outside === 0, mostAfterMs * 2);
  const { answers, refusedMs, retryMs, wellMs, outside: left } = visits();
  const afterMs = Math.max(performance.now() - wellMs, watch.lastBadAt) - endedAt;
  watch.stop();
  await publisher.stop();
  await crowd.settle();
  const { torn, completed, faults, open } = crowd;
  crowd.leave();
  await Promise.all(nodes.map((node) => node.stop()));
  const { '200': taken = 0, '503': refused = 0 } = answers;
  process.stderr.write(
    `Redis had ${decimals(cpuShare * 100, 1)} % of a core. New ones meanwhile: ${said(during)}, ${decimals(outside)} outside at its end; ` +
      `in all: ${said(answers)}; longest Retry-After ${decimals(retryMs / 1000)} s\n` +
      `Published: ${said({ acknowledged: publisher.acknowledged, 'not acknowledged': publisher.unacknowledged })}; ${said(Object.fromEntries(faults))}\n`,
  );
  const what = 'slow-redis:';
  return [
    check(
      `${what} connections that ended of ${decimals(followers)}`,
      `${torn + completed}`,
      '0',
      torn + completed === 0 && open === followers,
    ),
    check(`${what} messages lost, repeated or out of order`, `${faults.count}`, '0', faults.count === 0 && publisher.acknowledged > 0),
    none(`${what} new ones answered neither with 200 nor with 503`, sum(Object.values(answers)) - taken - refused),
    check(`${what} a 503, p99`, `${decimals(refusedMs)} ms`, '≤ 6,000 ms', refusedMs <= 6000),
    none(`${what} outages that nodes saw`, watch.outages.size),
    check(`${what} all well after`, `${decimals(afterMs)} ms`, `≤ ${decimals(mostAfterMs)} ms`, afterMs <= mostAfterMs && left === 0),
  ];
}
