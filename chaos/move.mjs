import { setTimeout as sleep } from 'node:timers/promises';
import { until } from '../soak/until.mjs';
import { Engine } from '../tools/engines.mjs';
import { Feed } from './feed.mjs';
import { Followers } from './followers.mjs';
import { Node } from './node.mjs';
import { Publisher } from './publisher.mjs';

/**
 * A node with so many followers is asked to end (SIGTERM) while messages are published, and its followers go to another one.
 *
 * @returns what became of them, and of the node
 */
export async function move({ adapter, broker = 'redis', count = 10_000, rate = 500, drainMs = 10_000 }) {
  const engine = await Engine.start(broker);
  const nodes = [];
  let followers;
  try {
    for (const name of ['old', 'new'])
      nodes.push(await Node.start(name, { adapter, broker: engine.url, env: { FEED_DRAIN_MS: `${drainMs}` } }));
    const [old, other] = nodes;
    other.isUp = false;
    followers = new Followers(nodes);
    const feeds = Array.from({ length: count }, (_, n) => new Feed(`${n}`));
    for (const [n, feed] of feeds.entries()) {
      followers.add(feed);
      if (n % 20 === 19) await sleep(20);
    }
    await until(() => followers.open === count, 60_000);
    const publisher = new Publisher(feeds, followers);
    publisher.start(rate);
    await sleep(2000);

    // A load balancer sends nothing to a node that is not ready any more.
    other.isUp = true;
    const begun = performance.now();
    const code = await old.kill('SIGTERM');
    const tookMs = performance.now() - begun;
    await until(() => followers.open === count, 60_000);
    await publisher.stop();
    await until(() => followers.missing === 0, 30_000);
    const { acknowledged, unacknowledged } = publisher;
    const { open, torn, faults, missing } = followers;
    return { code, tookMs, moved: open, torn, acknowledged, unacknowledged, faults: { ...faults, lost: faults.lost + missing } };
  } finally {
    followers?.leave();
    for (const node of nodes) await node.kill();
    await engine.stop();
  }
}
