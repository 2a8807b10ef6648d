import { Engine } from '../../tools/engines.mjs';
import { Feed } from '../lib/feed.js';
import { type Check, check, decimals, none } from '../lib/figures.js';
import { inTurn, Publisher } from '../lib/publisher.js';
import { RoamingCrowd, startNode } from '../lib/roaming.js';
import { atEnd } from '../lib/server.js';
import type { Service } from '../lib/service.js';
import { sleep, until } from '../lib/waits.js';

/** How long a service may take to end its connections, in milliseconds. */
const drainMs = 10_000;
/** Followers of each feed of `drain`: so many that each gets a message a second or so, and owes the ones before it to that. */
const shared = 20;

/** What followers see of a service that ends, and of another one that they go to, if there is one. */
async function shutDown(name: string, connections: number, feedCount: number, perSecond: number, service: Service, other?: Service) {
  const crowd = new RoamingCrowd([service]);
  const feeds = Array.from({ length: feedCount }, (_, n) => new Feed(`${n}`));
  await crowd.gather(connections, feeds, 1000);
  let node = service;
  const publisher = new Publisher(async (feed, text) => !(await node.publish(feed.name, text)));
  publisher.start(perSecond, inTurn(feeds));
  await sleep(2000);

  // A load balancer sends nothing to a node that is not ready any more.
  node = other ?? service;
  crowd.nodes = other ? [other] : [];
  if (!other) for (const feed of feeds) feed.settle();
  const begun = performance.now();
  const code = await service.stop();
  const tookMs = performance.now() - begun;
  await until(() => crowd.open === (other ? connections : 0), 60_000);
  await publisher.stop();
  await crowd.settle();
  const { open, completed, torn, faults } = crowd;
  crowd.leave();
  const figure = `${decimals(tookMs)} ms, exit ${code}`;
  const ended = check(`${name}: the process ended after`, figure, `≤ ${drainMs + 1000} ms, exit 0`, tookMs <= drainMs + 1000 && code === 0);
  return { open, completed, torn, faults: faults.count, publisher, ended };
}

interface DrainOptions {
  adapter: string;
  connections: number;
}

/** A shutdown of the only process. */
export async function drain({ adapter, connections }: DrainOptions): Promise<Check[]> {
  const service = await startNode('only', { FEED_ADAPTER: adapter, FEED_DRAIN_MS: `${drainMs}` });
  const { completed, faults, publisher, ended } = await shutDown('drain', connections, Math.ceil(connections / shared), 400, service);
  const { acknowledged } = publisher;
  return [
    check('drain: connections that came to an orderly end', `${completed}`, `${connections}`, completed === connections),
    check('drain: messages lost of those acknowledged before', `${faults} of ${acknowledged}`, '0', faults === 0 && acknowledged > 0),
    ended,
  ];
}

/** As `drain`, with another process on the same Redis to go to. */
export async function move({ adapter, connections }: DrainOptions): Promise<Check[]> {
  const engine = await Engine.start('redis');
  atEnd(() => engine.stop());
  const env = { FEED_ADAPTER: adapter, FEED_BROKER: engine.url, FEED_DRAIN_MS: `${drainMs}` };
  const [old, other] = [await startNode('old', env), await startNode('new', env)];
  const { open, torn, faults, publisher, ended } = await shutDown('move', connections, connections, 500, old, other);
  await other.stop();
  const { acknowledged, unacknowledged } = publisher;
  const whole = torn === 0 && open === connections;
  return [
    check('move: connections that came to an orderly end, and are on the other node', `${open - torn}`, `${connections}`, whole),
    check('move: messages lost, repeated or out of order', `${faults} of ${acknowledged}`, '0', faults === 0 && acknowledged > 0),
    none('move: publishes that were not acknowledged', unacknowledged),
    ended,
  ];
}
