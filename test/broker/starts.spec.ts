import type { HistoryBounds } from '../../src/feed/broker/broker.js';
import { endContent } from '../../src/feed/message/end.js';
import type { StoredMessage } from '../../src/feed/message/message.js';
import type { Engine } from '../../tools/engines.mjs';
import { type Node, numbers, positionOf } from '../support/broker-node.js';
import { type BrokerKind, describeBrokers, engineOf, nodeOf, roomy } from '../support/brokers.js';
import { until } from '../support/until.js';

describeBrokers('the broker contract, where a reader begins:', (kind: BrokerKind) => {
  let engine: Engine | undefined;
  beforeEach(async () => {
    engine = await engineOf(kind);
  });
  const node = async (bounds: Partial<HistoryBounds> = {}) => nodeOf(await kind.make(engine?.port ?? 0, { ...roomy, ...bounds }));
  const idsOf = (messages: readonly (StoredMessage | undefined)[]) => messages.map((message) => message?.id);

  /** Publishes numbers of which each is stored in a millisecond of its own. */
  async function apart(publisher: Node, feed: string, from: number, to: number): Promise<StoredMessage[]> {
    const messages: StoredMessage[] = [];
    for (const text of numbers(from, to)) {
      let { time } = await publisher.publish('clock', 'tick');
      const before = time;
      while (time <= before + 1) ({ time } = await publisher.publish('clock', 'tick'));
      messages.push(await publisher.publish(feed, text));
    }
    return messages;
  }

  it('with the last messages: as many as are asked for, or as there are, and what follows', async () => {
    const one = await node();
    await one.count('b', 1, 3);
    const messages = await one.count('a', 1, 30);
    await one.count('b', 4, 6);
    for (const last of [1, 5, 29, 30, 31, 1000]) {
      const page = await one.broker.read('a', { last }, 1e6);
      expect(idsOf(page.messages)).toEqual(idsOf(messages.slice(-last)));
      expect(page).toMatchObject({ hasMore: false, isReset: false, isEnded: false });
      // Its beginning and its end are positions.
      const again = await one.history('a', page.after);
      expect(idsOf(again.messages)).toEqual(idsOf(messages.slice(-last)));
      const next = await one.publish('a', 'next');
      expect(await one.read('a', { epoch: page.after.epoch, offset: page.end })).toEqual(['next']);
      messages.push(next);
    }
    const none = await one.broker.read('never', { last: 5 }, 1e6);
    expect(none).toMatchObject({ messages: [], hasMore: false, isReset: false, isEnded: false });
    await one.publish('never', 'first');
    expect(await one.read('never', none.after)).toEqual(['first']);
  });

  it('with the last messages, page by page', async () => {
    const one = await node();
    await one.count('a', 1, 50);
    const pages = await one.pages('a', { last: 20 }, 10);
    expect(pages.length).toBeGreaterThan(3);
    expect(pages.flatMap(({ messages }) => messages.map(({ text }) => text))).toEqual(numbers(31, 50));
    expect(pages.some(({ isReset }) => isReset)).toBe(false);
  });

  it('with the last messages, where older ones are gone, and where the feed has ended', async () => {
    const one = await node({ historyLength: 5 });
    await one.count('a', 1, 9);
    expect(await one.history('a', { last: 7 })).toMatchObject({ isReset: false, isEnded: false });
    expect(await one.read('a', { last: 7 })).toEqual(numbers(5, 9));
    const end = await one.broker.publish('a', endContent({ reason: 'completed' }));
    const { messages, isEnded } = await one.history('a', { last: 2 });
    expect([messages.map(({ id }) => id).at(-1), messages[0]?.text, isEnded]).toEqual([end.id, '9', true]);
    await one.broker.clear('a');
    expect(await one.history('a', { last: 2 })).toMatchObject({ messages: [], isReset: false, isEnded: false });
  });

  it('with what was stored at a time or later', async () => {
    const one = await node();
    const messages = await apart(one, 'a', 1, 5);
    for (const [n, { time }] of messages.entries()) {
      for (const [asked, from] of [
        [time, n],
        [time + 1, n + 1],
      ] as const) {
        const page = await one.history('a', { time: asked });
        expect(idsOf(page.messages)).toEqual(idsOf(messages.slice(from)));
        expect(page).toMatchObject({ hasMore: false, isReset: false });
        expect((await one.history('a', page.after)).messages).toHaveLength(messages.length - from);
      }
    }
    for (const time of [0, -1, 1]) expect(await one.read('a', { time })).toEqual(numbers(1, 5));
    // In the future there is nothing yet: from now on.
    const future = await one.broker.read('a', { time: Date.now() + 1e9 }, 1e6);
    expect(future).toMatchObject({ messages: [], isReset: false, hasMore: false });
    const next = await one.publish('a', '6');
    expect(await one.history('a', future.after)).toMatchObject({ messages: [{ id: next.id }], isReset: false });
    const pages = await one.pages('a', { time: messages[1]?.time ?? 0 }, 1);
    expect(pages.flatMap((page) => page.messages.map(({ text }) => text))).toEqual(numbers(2, 6));
  });

  it('with a time: whether messages from then on are gone', async () => {
    const one = await node({ historyLength: 3 });
    const messages = await apart(one, 'a', 1, 6);
    const timeOf = (n: number) => (messages[n - 1] as StoredMessage).time;
    for (const time of [0, timeOf(1), timeOf(3)]) expect(await one.history('a', { time })).toMatchObject({ isReset: true });
    for (const time of [timeOf(3) + 1, timeOf(4), timeOf(6) + 1])
      expect(await one.history('a', { time })).toMatchObject({ isReset: false });
    expect(await one.read('a', { time: timeOf(1) })).toEqual(numbers(4, 6));
    expect(await one.history('never', { time: 0 })).toMatchObject({ messages: [], isReset: false });
    // A feed that was cleared, or of which all has expired, has lost what it had.
    await one.broker.clear('a');
    expect(await one.history('a', { time: timeOf(6) })).toMatchObject({ messages: [], isReset: true });
  });

  it('with a time: messages that have expired are gone, whatever is asked for first', async () => {
    const one = await node({ historyTtlMs: 400 });
    const [first] = await apart(one, 'a', 1, 1);
    const { time } = first as StoredMessage;
    await until(async () => (await one.read('a', 'earliest')).length === 0);
    expect(await one.history('a', { time })).toMatchObject({ messages: [], isReset: true });
    expect(await one.history('a', { time: time + 1 })).toMatchObject({ messages: [], isReset: false });
    expect(await one.history('a', positionOf(first as StoredMessage))).toMatchObject({ isReset: false });
    expect(await one.history('a', { last: 3 })).toMatchObject({ messages: [], isReset: false });
  });
});
