import { FeedEndedError } from '../../src/feed/errors/broker.errors.js';
import { endContent } from '../../src/feed/message/end.js';
import type { StoredMessage } from '../../src/feed/message/message.js';
import { type FeedRules, RuleSet } from '../../src/feed/pubsub/rules.js';
import type { Engine } from '../../tools/engines.mjs';
import { type Node, numbers, positionOf } from '../support/broker-node.js';
import { type BrokerKind, describeServers, engineOf, nodeOf, roomy } from '../support/brokers.js';
import { until } from '../support/until.js';

const completed = endContent({ reason: 'completed' });

describeServers('the broker contract, what rules say is stored:', (kind: BrokerKind) => {
  let engine: Engine | undefined;
  beforeEach(async () => {
    engine = await engineOf(kind);
  });
  const node = async (rules: FeedRules, historyTtlMs = roomy.historyTtlMs) => {
    const bounds = { ...roomy, historyTtlMs };
    return nodeOf(await kind.make(engine?.port ?? 0, { ...bounds, retention: new RuleSet(rules, bounds).retention }));
  };
  /** A node that has come later; of memory there is one. */
  const later = async (one: Node, rules: FeedRules, historyTtlMs?: number) => (kind.name === 'memory' ? one : node(rules, historyTtlMs));
  const isGone = async (one: Node, feed: string) => (await one.read(feed, 'earliest')).length === 0;

  it('of each feed, as many messages and bytes as its most specific rule allows', async () => {
    const rules = {
      '*': { historyLength: 5 },
      'long/*': { historyLength: 3000, historyBytes: 1e7 },
      'long/short': { historyLength: 2 },
      'small/*': { historyBytes: 3000 },
      'plain/*': {},
    };
    const one = await node(rules);
    await Promise.all(numbers(1, 2500).map((n) => one.publish('long/a', n)));
    for (const feed of ['any', 'long/short', 'plain/a']) await one.count(feed, 1, 8);
    for (let n = 0; n < 6; n += 1) await one.publish('small/a', `${n}`.repeat(800));
    for (const each of [one, await later(one, rules)]) {
      expect(await each.read('long/a', 'earliest')).toHaveLength(2500);
      expect(await each.read('any', 'earliest')).toEqual(numbers(4, 8));
      expect(await each.read('long/short', 'earliest')).toEqual(['7', '8']);
      expect(await each.read('plain/a', 'earliest')).toEqual(numbers(1, 8));
      expect(await each.read('small/a', 'earliest')).toEqual(['4'.repeat(800), '5'.repeat(800)]);
      expect(await each.history('any', 'earliest')).toMatchObject({ isReset: true });
    }
  });

  it('each message as long as the rule of its feed says', async () => {
    const rules = { short: { historyTtlMs: 300 }, 'long/*': { historyTtlMs: 60_000 } };
    const one = await node(rules, 1500);
    const [first] = await one.count('short', 1, 2);
    const [long] = await one.count('long/a', 1, 2);
    await one.count('plain', 1, 2);
    await until(() => isGone(one, 'short'));
    expect(await one.history('short', positionOf(first as StoredMessage))).toMatchObject({ isReset: true, messages: [] });
    const other = await later(one, rules, 1500);
    for (const each of [one, other]) await until(() => isGone(each, 'plain'));
    for (const each of [one, other]) {
      expect(await each.read('long/a', 'earliest')).toEqual(['1', '2']);
      expect(await each.history('long/a', positionOf(long as StoredMessage))).toMatchObject({ isReset: false });
      expect(await isGone(each, 'short')).toBe(true);
    }
  });

  it('the newest message beyond its time where the rule keeps it, also for nodes that come later, until a newer one takes its place', async () => {
    const rules = { 'prices/*': { historyTtlMs: 300, keepNewest: true } };
    const one = await node(rules, 300);
    const [first, second, third] = (await one.count('prices/a', 1, 3)) as [StoredMessage, StoredMessage, StoredMessage];
    await one.count('other', 1, 3);
    await until(() => isGone(one, 'other'));
    const other = await later(one, rules, 300);
    for (const each of [one, other]) {
      await until(async () => (await each.read('prices/a', 'earliest')).length === 1);
      for (const start of ['earliest', 'newest', { last: 5 }] as const) expect(await each.read('prices/a', start)).toEqual(['3']);
      expect(await each.history('prices/a', positionOf(first))).toMatchObject({ isReset: true, messages: [{ id: third.id }] });
      expect(await each.history('prices/a', positionOf(second))).toMatchObject({ isReset: false, messages: [{ id: third.id }] });
      expect(await each.history('prices/a', positionOf(third))).toMatchObject({ isReset: false, messages: [] });
      expect(await each.history('prices/a', 'earliest')).toMatchObject({ isReset: true, isEnded: false });
    }
    await other.publish('prices/a', '4');
    for (const each of [one, other]) {
      expect((await each.read('prices/a', 'earliest')).slice(-2)).toEqual(['4']);
      expect(await each.history('prices/a', positionOf(third))).toMatchObject({ isReset: false });
    }
  });

  it('the end of a feed as long as its rule says, also where that keeps newest messages', async () => {
    const rules = { 'kept/*': { historyTtlMs: 300, keepNewest: true }, long: { historyTtlMs: 60_000 } };
    const one = await node(rules, 300);
    for (const feed of ['kept/a', 'long', 'plain']) {
      await one.publish(feed, '1');
      await one.broker.publish(feed, completed);
      await expect(one.publish(feed, '2')).rejects.toThrow(FeedEndedError);
    }
    const other = await later(one, rules, 300);
    for (const feed of ['kept/a', 'plain']) await until(() => other.canPublish(feed, '3'));
    for (const each of [one, other]) {
      await expect(each.publish('long', '2')).rejects.toThrow(FeedEndedError);
      for (const feed of ['kept/a', 'plain']) expect(await each.history(feed, 'newest')).toMatchObject({ isEnded: false });
    }
  });

  it('and the last few messages are read alone, a page at a time', async () => {
    const one = await node({});
    await one.subscribe('a');
    await one.count('a', 1, 40);
    expect(await one.read('a', { last: 3 })).toEqual(['38', '39', '40']);
    const { isReset, after } = await one.history('a', { last: 3 });
    expect([isReset, await one.read('a', after)]).toEqual([false, ['38', '39', '40']]);
    for (const last of [40, 41, 1e6]) expect(await one.read('a', { last })).toEqual(numbers(1, 40));
    expect(await one.read('silent', { last: 3 })).toEqual([]);
    const pages = await one.pages('a', { last: 25 }, 40);
    expect(pages.length).toBeGreaterThan(1);
    expect(pages.flatMap(({ messages }) => messages.map(({ text }) => text))).toEqual(numbers(16, 40));
    await one.broker.publish('a', completed);
    expect(await one.history('a', { last: 2 })).toMatchObject({ isEnded: true, messages: [{ text: '40' }, completed] });
  });
});
