import { Engine } from '../../tools/engines.mjs';
import { Feed } from '../lib/feed.js';
import { type Check, check, decimals, none } from '../lib/figures.js';
import { sleep, until } from '../lib/pace.js';
import { inTurn, Publisher } from '../lib/publisher.js';
import { RoamingCrowd, startNode } from '../lib/roaming.js';
import { atEnd } from '../lib/server.js';
import type { Service } from '../lib/service.js';

/** How long a service may take to end its connections, in milliseconds. */
const drainMs = 10_000;

/** Has a service end with many followers and messages on their way; the followers go to another one, if there is one. */
async function shutDown(name: string, connections: number, perSecond: number, service: Service, other?: Service) {
  const crowd = new RoamingCrowd([service]);
  const feeds = Array.from({ length: connections }, (_, n) => new Feed(`${n}`));
  await crowd.gather(connections, feeds, 1000);
  let isEnding = false;
  // Once it is told to end, a follower's last chunk may have been sent before a message is published, and be read after the message's answer:
  // such a message is owed to nobody, and its answer says so.
  const publishToFollower = ({ name }: Feed, text: string) =>
    service.publish(name, text).then(
      (subscribers) => subscribers > 0 || !isEnding,
      () => false,
    );
  const publisher = new Publisher(other ? crowd.publish : publishToFollower);
  publisher.start(perSecond, inTurn(feeds));
  await sleep(2000);

  // A load balancer sends nothing to a node that is not ready any more.
  crowd.nodes = other ? [other] : [];
  isEnding = true;
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
  const { completed, faults, publisher, ended } = await shutDown('drain', connections, 400, service);
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
  const { open, torn, faults, publisher, ended } = await shutDown('move', connections, 500, old, other);
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
