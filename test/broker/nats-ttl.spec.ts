import { type JetStreamManager, jetstreamManager } from '@nats-io/jetstream';
import { connect, millis } from '@nats-io/transport-node';
import { natsBroker } from '../../src/feed/broker/nats/index.js';
import { endContent } from '../../src/feed/message/end.js';
import type { StoredMessage } from '../../src/feed/message/message.js';
import { type FeedRules, RuleSet } from '../../src/feed/pubsub/rules.js';
import { type Engine, missing } from '../../tools/engines.mjs';
import { type Node, numbers, positionOf } from '../support/broker-node.js';
import { linkTo, nodeOf, roomy, startEngine } from '../support/brokers.js';
import { atEnd } from '../support/ends.js';
import { until } from '../support/until.js';

(missing().includes('nats-server-2.11') ? describe.skip : describe)('the times to live of feeds, on NATS 2.11', () => {
  let engine: Engine;
  let manager: JetStreamManager;

  const node = async (rules: FeedRules, port = engine.port) => {
    const make = natsBroker({ servers: `127.0.0.1:${port}`, prefix: 'a' });
    return nodeOf(await make({ ...roomy, retention: new RuleSet(rules, roomy).retention, log: () => {} }));
  };
  /** How many messages of each feed the server stores. */
  const stored = async () => {
    const { state } = await manager.streams.info('a', { subjects_filter: '>' });
    return Object.fromEntries(
      Object.entries(state.subjects ?? {}).map(([subject, count]) => [subject.slice(2).replaceAll('.', '/'), count]),
    );
  };
  const isGone = async (feed: string) => !(feed in (await stored()));
  const isReset = async (on: Node, feed: string, message: StoredMessage | undefined) =>
    (await on.history(feed, positionOf(message as StoredMessage))).isReset;

  beforeEach(async () => {
    engine = await startEngine('nats-2.11');
    const connection = await connect({ servers: `127.0.0.1:${engine.port}` });
    atEnd(() => connection.close());
    manager = await jetstreamManager(connection);
  });

  it('are kept to by the server, which stores what has a key for as long as the key is known', async () => {
    const one = await node({ 'short/*': { historyTtlMs: 500 }, long: { historyTtlMs: 90_000 } });
    for (const feed of ['short/a', 'long', 'plain']) await one.count(feed, 1, 3);
    const [content, conditions] = [{ type: undefined, text: 'keyed', isJson: false }, { key: 'k' }];
    const { id } = await one.broker.publish('short/keyed', content, conditions);
    await until(() => isGone('short/a'));
    expect(await stored()).toEqual({ long: 3, plain: 3, 'short/keyed': 1 });
    expect(await one.broker.publish('short/keyed', content, conditions)).toMatchObject({ id });
    const { config } = await manager.streams.info('a');
    expect([config.allow_msg_ttl, millis(config.max_age)]).toEqual([true, 90_000]);
  });

  it('take nothing from a feed whose newest message stays, and all others from the stream', async () => {
    const rules = { prices: { historyTtlMs: 500, keepNewest: true }, 'kept/*': { keepNewest: true }, short: { historyTtlMs: 500 } };
    const one = await node(rules);
    await one.count('prices', 1, 3);
    await one.broker.publish('kept/a', endContent({ reason: 'completed' }));
    await one.count('short', 1, 3);
    await until(() => isGone('short'));
    expect(await stored()).toEqual({ prices: 3, 'kept/a': 1 });
    await engine.kill();
    await engine.restart();
    const later = await node(rules);
    for (const start of ['earliest', 'newest'] as const) expect(await later.read('prices', start)).toEqual(['3']);
    expect(await later.history('kept/a', 'newest')).toMatchObject({ isEnded: true });
  });

  it('leave a node that comes later with the positions of all feeds that can have lost nothing', async () => {
    const rules = { short: { historyTtlMs: 500 }, middle: { historyTtlMs: 20_000 } };
    const one = await node(rules);
    const [plain] = await one.count('plain', 1, 1);
    const [short] = await one.count('short', 1, 2);
    const [middle] = await one.count('middle', 1, 1);
    await one.count('short', 3, 4);
    await one.count('plain', 2, 2);
    await one.count('short', 5, 6);
    await until(() => isGone('short'));
    const later = await node(rules);
    const end = (await one.history('plain', 'end')).after;
    for (const feed of ['plain', 'middle', 'quiet']) {
      for (const message of [plain, short, middle]) expect(await isReset(later, feed, message)).toBe(false);
    }
    expect(await later.history('plain', positionOf(plain as StoredMessage))).toMatchObject({ messages: [{ text: '2' }] });
    for (const message of [plain, short, middle]) expect(await isReset(later, 'short', message)).toBe(true);
    expect(await later.history('short', end)).toMatchObject({ isReset: false, messages: [] });
    expect(await later.history('short', 'earliest')).toMatchObject({ isReset: true, messages: [] });
    expect(await later.history('short', { time: Date.now() - 60_000 })).toMatchObject({ isReset: true, messages: [] });
    await later.count('short', 7, 7);
    expect(await later.history('short', end)).toMatchObject({ isReset: false, messages: [{ text: '7' }] });
  });

  it.each([
    ['and nothing since', 0],
    ['and some since', 2],
  ])('have those followers told who may have missed what expired while their node was cut off, %s', async (_, since) => {
    const rules = { 'short/*': { historyTtlMs: 500 }, middle: { historyTtlMs: 20_000 } };
    const link = await linkTo(engine);
    const [cut, other] = [await node(rules, link.port), await node(rules)];
    await cut.subscribe('short/a', 'short/quiet', 'middle', 'plain', 'quiet');
    for (const feed of ['short/a', 'middle', 'plain']) await other.count(feed, 1, 2);
    await until(() => cut.of('plain').length === 2);
    link.cut();
    await other.count('short/a', 3, 4);
    await other.count('plain', 3, 4);
    await other.count('short/a', 5, 6);
    await until(() => isGone('short/a'));
    for (const feed of ['short/a', 'middle']) await other.count(feed, 7, 6 + since);
    link.sever();
    link.mend();
    await until(() => cut.texts('short/quiet').length > 0 && cut.isAvailable);
    await other.count('plain', 5, 5);
    await until(() => cut.texts('plain').includes('5'));
    expect(cut.texts('short/a')).toEqual(['1', '2', 'lost', ...numbers(7, 6 + since)]);
    expect(cut.texts('short/quiet')).toEqual(['lost']);
    expect(cut.texts('middle')).toEqual(['1', '2', ...numbers(7, 6 + since)]);
    expect(cut.texts('plain')).toEqual(['1', '2', '3', '4', '5']);
    expect(cut.texts('quiet')).toEqual([]);
  });

  it('have it told as well where only the last message of the stream has expired', async () => {
    const rules = { short: { historyTtlMs: 500 } };
    const link = await linkTo(engine);
    const [cut, other] = [await node(rules, link.port), await node(rules)];
    await cut.subscribe('short', 'plain');
    const [plain] = await other.count('plain', 1, 1);
    await until(() => cut.of('plain').length === 1);
    link.cut();
    const [short] = await other.count('short', 1, 1);
    await until(() => isGone('short'));
    link.sever();
    link.mend();
    await until(() => cut.of('short').length > 0 && cut.isAvailable);
    expect(cut.texts('short')).toEqual(['lost']);
    expect(cut.texts('plain')).toEqual(['1']);
    for (const each of [cut, await node(rules)]) {
      expect(await each.history('short', positionOf(plain as StoredMessage))).toMatchObject({ isReset: true, messages: [] });
      expect(await each.history('short', positionOf(short as StoredMessage))).toMatchObject({ isReset: false, messages: [] });
      expect(await each.history('plain', positionOf(plain as StoredMessage))).toMatchObject({ isReset: false, messages: [] });
    }
  });

  it('come with the first process whose rules have some, and stay for those of the stream', async () => {
    const allows = async () => (await manager.streams.info('a')).config.allow_msg_ttl === true;
    const rules = { short: { historyTtlMs: 500 } };
    const before = await node({ short: { historyLength: 5 } });
    await before.count('short', 1, 2);
    expect(await allows()).toBe(false);
    const one = await node(rules);
    await one.count('short', 3, 4);
    await until(async () => (await stored()).short === 2);
    const after = await node({});
    await after.count('short', 5, 6);
    expect([await allows(), (await stored()).short]).toEqual([true, 4]);
  });
});
