import type { Redis } from 'ioredis';
import { redisBroker } from '../../src/feed/broker/redis/index.js';
import { type Engine, missing } from '../../tools/engines.mjs';
import { type Node, numbers } from '../support/broker-node.js';
import { linkTo, nodeOf, roomy, startEngine } from '../support/brokers.js';
import { Peer } from '../support/peer.js';
import { clientOf } from '../support/redis.js';
import { closeAll, platforms, serveFeeds } from '../support/serve.js';
import { until } from '../support/until.js';

async function node({ port }: { port: number }, said: string[] = []): Promise<Node> {
  return nodeOf(await redisBroker(`redis://127.0.0.1:${port}`)({ ...roomy, log: (message) => said.push(message) }));
}

/** The connections on which somebody has subscribed to something. */
async function subscribersOf(redis: Redis): Promise<string[]> {
  const list = (await redis.call('CLIENT', 'LIST', 'TYPE', 'pubsub')) as string;
  return [...list.matchAll(/^id=(\d+)/gm)].map(([, id]) => id as string).sort();
}

/** How often Redis has been given a command. */
async function callsOf(redis: Redis, command: string): Promise<number> {
  return Number(new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(await redis.info('commandstats'))?.[1] ?? 0);
}

(missing().includes('redis-server') ? describe.skip : describe)('a Redis that does not respond', () => {
  let engine: Engine;

  beforeEach(async () => {
    engine = await startEngine('redis');
  });

  it('is asked on the same connection when it goes on, and has lost nobody', async () => {
    const said: string[] = [];
    const [follower, publisher] = [await node(engine, said), await node(engine)];
    await follower.subscribe('a');
    await publisher.count('a', 1, 2);
    const redis = clientOf(engine);
    const before = await subscribersOf(redis);
    engine.pause();
    await until(() => !follower.isAvailable && !publisher.isAvailable);
    await expect(publisher.publish('a', 'x')).rejects.toMatchObject({ code: 'BROKER_UNAVAILABLE', isNotStored: true });
    engine.resume();
    await until(() => follower.isAvailable && publisher.isAvailable);
    await publisher.count('a', 3, 4);
    await until(() => follower.of('a').length === 4);
    expect(follower.texts('a')).toEqual(numbers(1, 4));
    expect(await subscribersOf(redis)).toEqual(before);
    expect(said).toEqual([expect.stringMatching(/no answer for/), 'Redis is available again.']);
  });

  it('is told from a connection that is dead: another one takes its place', async () => {
    const link = await linkTo(engine);
    const [follower, publisher] = [await node(link), await node(engine)];
    await follower.subscribe('a');
    await publisher.publish('a', '1');
    await until(() => follower.of('a').length === 1);
    link.silence();
    await publisher.publish('a', '2');
    await until(() => follower.of('a').length === 2);
    expect(follower.texts('a')).toEqual(['1', '2']);
    expect(follower.broker.unavailableReason).toBeUndefined();
  });

  it('is asked to subscribe to many feeds, and to read them, with few commands, also when a connection is made again', async () => {
    const follower = await node(engine);
    const redis = clientOf(engine);
    const feeds = numbers(1, 3000);
    await redis.config('RESETSTAT');
    await follower.subscribe(...feeds);
    expect(await callsOf(redis, 'ssubscribe')).toBeLessThan(feeds.length / 100);
    await redis.config('RESETSTAT');
    await redis.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
    await follower.reconnects();
    expect(await callsOf(redis, 'ssubscribe')).toBeLessThan(feeds.length / 100);
    expect(await callsOf(redis, 'evalsha')).toBeLessThan(feeds.length / 25);
    expect(await follower.broker.publish('7', { type: undefined, text: 'x', isJson: false })).toMatchObject({ feed: '7' });
    await until(() => follower.of('7').length === 1);
  });

  describe.each(platforms)('on %s', (platform) => {
    afterEach(closeAll);

    it('goes on with those that are open, and has new ones come back later and later', async () => {
      const broker = redisBroker(engine.url);
      const { port, url, feeds } = await serveFeeds(platform, { broker, drainMs: 0 });
      const open = await Peer.get(port, '/feeds/open');
      await open.sees('200 OK');
      const redis = clientOf(engine);
      const before = await subscribersOf(redis);
      engine.pause();
      const waiting = await Peer.get(port, '/feeds/waiting');
      await until(() => feeds.status.broker.slowSince !== undefined);
      const answers = await Promise.all(numbers(1, 40).map((id) => fetch(`${url}/feeds/${id}`)));
      expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([503]));
      const retries = answers.map(({ headers }) => Number(headers.get('retry-after')));
      expect(Math.min(...retries)).toBeGreaterThanOrEqual(1);
      expect(Math.max(...retries)).toBeGreaterThan(3);
      expect(new Set(retries).size).toBeGreaterThan(3);
      expect(feeds.counts().rejectedBy.broker).toBeGreaterThanOrEqual(40); // the one that waits may be rejected as well
      engine.resume();
      await until(() => feeds.status.broker.slowSince === undefined && feeds.status.broker.unavailableSince === undefined);
      const again = await Peer.get(port, '/feeds/1');
      await again.sees('200 OK');
      await waiting.sees(/^HTTP\/1.1 (200|503)/);
      await feeds.publishMany(['open', '1'], 'on');
      for (const peer of [open, again]) await peer.sees('on');
      expect(await subscribersOf(redis)).toEqual(before);
    });
  });
});
