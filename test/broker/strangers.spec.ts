import type { Broker } from '../../src/feed/broker/broker.js';
import { redisBroker } from '../../src/feed/broker/redis/index.js';
import type { StoredMessage } from '../../src/feed/message/message.js';
import { HealthModule } from '../../src/health/index.js';
import { type Engine, missing } from '../../tools/engines.mjs';
import { numbers, positionOf } from '../support/broker-node.js';
import { type BrokerKind, describeSharedBrokers, engineOf, linkTo, nodeOf, roomy, startEngine } from '../support/brokers.js';
import { atEnd } from '../support/ends.js';
import { expectNoEscapes } from '../support/escapes.js';
import { endAttack } from '../support/hostile/attacked.js';
import { clientOf } from '../support/redis.js';
import { follow, type Served, serveFeeds, until } from '../support/serve.js';

/** What no node can have published. */
const impossible = [
  { type: 'a\rb', text: 'x', isJson: false },
  { type: 'a\0b', text: 'x', isJson: false },
  { type: 'x'.repeat(201), text: 'x', isJson: false },
  { type: 'reset', text: '{}', isJson: true },
  { type: 'error', text: '{"code":"INTERNAL","message":"The source has failed."}', isJson: true },
  { type: undefined, text: '', isJson: true },
  { type: undefined, text: '{"data":', isJson: true },
  { type: undefined, text: '1}\n{"data":2', isJson: true },
  { type: undefined, text: 'a\rb', isJson: false },
];

describeSharedBrokers('what other programs publish through', (kind: BrokerKind) => {
  expectNoEscapes(endAttack);
  let engine: Engine;
  let served: Served;
  /** Brings content to the engine that the module itself would not take. */
  let stranger: Broker;

  beforeEach(async () => {
    engine = (await engineOf(kind)) as Engine;
    stranger = await kind.make(engine.port, roomy);
    atEnd(() => stranger.close());
    served = await serveFeeds('express', { broker: (context) => kind.make(engine.port, context) }, { imports: [HealthModule] });
  });

  it('is passed over where it is no message, by followers in each format, history and the application', async () => {
    const followers = await Promise.all(['sse', 'ndjson', 'text'].map((format) => follow(served, `/feeds/a?format=${format}`)));
    const got: unknown[] = [];
    const messages = served.feeds.messages('a').subscribe({ next: ({ data }) => got.push(data), error: (error) => got.push(error) });
    await until(() => served.feeds.subscribers('a') === followers.length + 1);
    for (const content of impossible) await stranger.publish('a', content);
    await served.feeds.publish('a', 'the end');
    for (const follower of followers) await follower.sees('the end');
    messages.unsubscribe();
    expect(got).toEqual(['the end']);
    const [sse, ndjson, text] = followers;
    expect(sse?.body.match(/^(event|data).*$/gm)).toEqual(['data: the end']);
    expect(ndjson?.lines.map(({ data }) => data)).toEqual(['the end']);
    expect(text?.body).toBe('the end\n');
    const late = await follow(served, '/feeds/a?format=ndjson&since=earliest');
    await late.sees('the end');
    expect(late.lines.filter(({ type }) => type !== 'reset').map(({ data }) => data)).toEqual(['the end']);
  });

  it.each([
    '{"reason":5}',
    '{"reason":"failed","message":{}}',
    '{"reason":"failed","message":null}',
    '{"reason":"over"}',
    '5',
    'null',
    '{',
    '',
  ])('does not hold up the feed, and who ends it, where it is an end that cannot be read: %s', async (text) => {
    await served.feeds.publish('a', 'before');
    await stranger.publish('a', { type: 'end', text, isJson: true });
    await stranger.publish('a', { type: 'end', text: '{"reason":"stopped"}', isJson: false });
    await served.feeds.publish('a', 'behind');
    const calls = [() => served.feeds.finish('a'), () => served.feeds.stop('a'), () => served.feeds.finish('a', { error: 'x' })];
    for (const call of calls) expect(await call()).toMatchObject({ type: 'end', data: { reason: 'completed' } });
    expect((await served.feeds.history('a')).messages.map(({ data }) => data)).toEqual(['before', 'behind', { reason: 'completed' }]);
    await served.feeds.clear('a');
    expect(await served.feeds.finish('a', { error: 'too late' })).toMatchObject({ data: { reason: 'failed', message: 'too late' } });
  });

  it('leaves the counts of the cluster what they are: numbers, of as many nodes as there may be', async () => {
    const announce = (value: unknown) => stranger.publish('$nodes', { type: 'heartbeat', text: JSON.stringify(value), isJson: true });
    await announce({ id: 'x', node: 1e308 });
    await announce({ id: 'y', node: 'y'.repeat(10_000) });
    await announce({ id: 'z'.repeat(10_000), node: 'z' });
    await announce({ id: 'w', node: 'w\u0000' });
    for (let n = 0; n < 1100; n += 1) void announce({ id: `node-${n}`, node: 'many' });
    await announce({ id: 'the-end', node: 'last' });
    const answer = await fetch(`${served.url}/health/connections?scope=cluster`);
    expect(answer.status).toBe(200);
    const counts = (await answer.json()) as { open: number; nodes: { name: string }[]; missing: string[] };
    expect(counts.nodes).toHaveLength(1);
    expect(counts.missing).toEqual(Array.from({ length: 999 }, () => 'many'));
    expect(counts.open).toBe(0);
  });
});

(missing().includes('redis-server') ? describe.skip : describe)('what other programs write into streams of Redis', () => {
  const keyOf = (feed: string) => `{nestjs-feed}:feed:${feed}`;

  const start = async (...feeds: string[]) => {
    const engine = await startEngine('redis');
    const link = await linkTo(engine);
    const node = nodeOf(await redisBroker(`redis://127.0.0.1:${link.port}`)({ ...roomy, log: () => {} }));
    await node.subscribe(...feeds);
    return { node, redis: clientOf(engine), link };
  };

  it('holds up no feed, neither where it is read and published to, nor where a node connects again', async () => {
    const written: Record<string, [string, ...string[]]> = {
      another: ['XADD', '*', 'x', 'y'],
      empty: ['XADD', '*', 'm', ''],
      malformed: ['XADD', '*', 'm', 'abc 1 2 1 x t\n\ntext'],
      misplaced: ['XADD', '1-0', 'm', 'abc 2 0 1 0 t\n\ntext'],
      future: ['XADD', '9000000000000000-0', 'x', 'y'],
      text: ['SET', 'text'],
      list: ['LPUSH', 'text'],
    };
    const feeds = Object.keys(written);
    const { node, redis, link } = await start(...feeds, 'calm');
    for (const [feed, [command, ...values]] of Object.entries(written)) await redis.call(command, keyOf(feed), ...values);
    for (const feed of feeds) expect([await node.read(feed, 'earliest'), await node.read(feed, 'newest')]).toEqual([[], []]);
    const again = node.reconnects();
    link.sever();
    await again;
    await node.publish('calm', '1');
    expect(node.texts('calm')).toEqual(['1']);
    for (const feed of feeds) {
      await node.count(feed, 1, 3);
      expect(node.texts(feed).filter((text) => text !== 'lost')).toEqual(numbers(1, 3));
      expect([await node.read(feed, 'earliest'), await node.read(feed, 'newest')]).toEqual([numbers(1, 3), ['3']]);
    }
  });

  it('leaves the messages before it, until the next message begins the stream anew, which is told', async () => {
    const { node, redis } = await start('a');
    const published = await node.count('a', 1, 20);
    for (let n = 1; n <= 50; n += 1) await redis.xadd(keyOf('a'), '*', 'm', 'x'.repeat(100 * n));
    expect(await node.read('a', 'earliest')).toEqual(numbers(1, 20));
    expect((await node.pages('a', 'earliest', 5)).flatMap(({ messages }) => messages.map(({ text }) => text))).toEqual(numbers(1, 20));
    expect(await node.read('a', 'newest')).toEqual(['20']);
    await node.publish('a', '21');
    expect(node.texts('a')).toEqual(numbers(1, 21));
    expect(await node.history('a', positionOf(published[19] as StoredMessage))).toMatchObject({
      isReset: false,
      messages: [{ text: '21' }],
    });
    expect(await node.history('a', positionOf(published[0] as StoredMessage))).toMatchObject({ isReset: true, messages: [{ text: '21' }] });
  });
});
