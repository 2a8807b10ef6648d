import type { HistoryBounds } from '../../src/feed/broker/broker.js';
import { redisBroker } from '../../src/feed/broker/redis/index.js';
import { BrokerUnavailableError } from '../../src/feed/errors/broker.errors.js';
import { type Engine, missing } from '../../tools/engines.mjs';
import { type Node, numbers, positionOf } from '../support/broker-node.js';
import { linkTo, nodeOf, roomy, startEngine } from '../support/brokers.js';
import { atEnd } from '../support/ends.js';
import { clientOf, neighbourOf } from '../support/redis.js';
import { until } from '../support/until.js';

async function node({ port }: { port: number }, bounds: Partial<HistoryBounds> = {}, said: string[] = [], path = ''): Promise<Node> {
  const broker = await redisBroker(`redis://127.0.0.1:${port}${path}`)({ ...roomy, ...bounds, log: (message) => said.push(message) });
  return nodeOf(broker);
}

(missing().includes('redis-server') ? describe.skip : describe)('faults of Redis', () => {
  let engine: Engine;

  beforeEach(async () => {
    engine = await startEngine('redis');
  });

  it('where nothing gets to it any more, publishing fails and it is unavailable, though announcements still come', async () => {
    const link = await linkTo(engine);
    const [deaf, other] = [await node(link), await node(engine)];
    await deaf.subscribe('a');
    link.deafen();
    const timer = setInterval(() => void other.canPublish('a', 'x'), 100);
    atEnd(() => clearInterval(timer));
    await expect(deaf.publish('b', '1')).rejects.toThrow(BrokerUnavailableError);
    await until(() => !deaf.isAvailable);
    expect(deaf.broker.unavailableReason).toMatch(/no answer for/);
    clearInterval(timer);
    link.mend();
    await until(() => deaf.isAvailable);
    expect(await deaf.read('b', 'earliest')).toEqual([]);
  });

  it('what could not be published is not stored later, when it goes on', async () => {
    const publisher = await node(engine);
    engine.pause();
    const failure = await publisher.publish('a', '1').catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: 'BROKER_UNAVAILABLE', isNotStored: false });
    engine.resume();
    await until(() => publisher.canPublish('a', '2'));
    expect(await publisher.read('a', 'earliest')).toEqual(['2']);
  });

  it('an error tells where a message is certainly not stored', async () => {
    const publisher = await node(engine);
    const redis = clientOf(engine);
    await redis.config('SET', 'maxmemory', '1');
    await expect(publisher.publish('a', '1')).rejects.toMatchObject({ isNotStored: true, message: expect.stringMatching(/OOM/) });
    await redis.config('SET', 'maxmemory', '0');
    await engine.kill();
    await until(() => !/OOM/.test(publisher.broker.unavailableReason ?? 'OOM'));
    await expect(publisher.publish('a', '2')).rejects.toMatchObject({ isNotStored: true });
    await engine.restart();
    await until(() => publisher.canPublish('b', 'x'));
    expect(await publisher.read('a', 'earliest')).toEqual([]);
  });

  it('scripts that somebody flushed are loaded again, and no message fails for that', async () => {
    const said: string[] = [];
    const publisher = await node(engine, {}, said);
    await clientOf(engine).script('FLUSH');
    await Promise.all(numbers(1, 20).map((text) => publisher.publish('a', text)));
    expect(await publisher.read('a', 'earliest')).toHaveLength(20);
    expect(said).toEqual([]);
  });

  it('where one node stores nothing of what others store, the gap is told', async () => {
    const [stores, other] = [await node(engine), await node(engine, { historyLength: 0 })];
    const [first] = await stores.count('a', 1, 2);
    await other.publish('a', '3');
    await stores.publish('a', '4');
    expect(await stores.history('a', positionOf(first as { epoch: string; offset: number }))).toMatchObject({
      isReset: true,
      messages: [{ text: '4' }],
    });
  });

  it('where one node stores for a shorter time than others, the gap is told', async () => {
    const [long, short] = [await node(engine), await node(engine, { historyTtlMs: 500 })];
    await long.publish('beside', 'x');
    const { after } = await long.history('a', 'end');
    await short.publish('a', '1');
    await until(async () => (await clientOf(engine).exists('{nestjs-feed}:feed:a')) === 0);
    await long.publish(neighbourOf('a'), 'x');
    expect(await long.history('a', after)).toMatchObject({ isReset: true });
  });

  it('services on two of its databases do not hear each other', async () => {
    const said: string[] = [];
    const [one, other] = [await node(engine, {}, said), await node(engine, {}, said, '/1')];
    for (const each of [one, other]) await each.subscribe('a');
    for (const text of numbers(1, 20)) {
      await one.publish('a', `one ${text}`);
      await other.publish('a', `other ${text}`);
    }
    await until(() => one.of('a').length >= 20 && other.of('a').length >= 20);
    expect(one.texts('a')).toEqual(numbers(1, 20).map((text) => `one ${text}`));
    expect(other.texts('a')).toEqual(numbers(1, 20).map((text) => `other ${text}`));
    expect(said).toEqual([]);
  });

  it('histories of many feeds are read with few commands', async () => {
    const reader = await node(engine);
    const feeds = numbers(1, 200);
    const redis = clientOf(engine);
    await Promise.all(feeds.map((feed) => reader.publish(feed, 'x')));
    await redis.config('RESETSTAT');
    const histories = Promise.all(feeds.map((feed) => reader.read(feed, 'earliest')));
    expect(await histories).toEqual(feeds.map(() => ['x']));
    const [, calls] = /cmdstat_evalsha:calls=(\d+)/.exec(await redis.info('commandstats')) ?? [];
    expect(Number(calls)).toBeLessThan(feeds.length / 10);
  });
});
