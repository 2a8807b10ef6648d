import fc from 'fast-check';
import type { HistoryBounds } from '../../src/feed/broker/broker.js';
import { FeedEndedError, FeedPositionError, KeyReusedError } from '../../src/feed/errors/broker.errors.js';
import { endContent, isEnd } from '../../src/feed/message/end.js';
import type { StoredMessage } from '../../src/feed/message/message.js';
import { nowhere } from '../../src/feed/message/position.js';
import type { Engine } from '../../tools/engines.mjs';
import { type Node, positionOf } from '../support/broker-node.js';
import { type BrokerKind, describeBrokers, engineOf, nodeOf, roomy } from '../support/brokers.js';
import { until } from '../support/until.js';

const completed = endContent({ reason: 'completed' });
const text = (value: string) => ({ type: undefined, text: value, isJson: false });

describeBrokers('the broker contract, feeds that end and publications with conditions:', (kind: BrokerKind) => {
  let engine: Engine | undefined;
  beforeEach(async () => {
    engine = await engineOf(kind);
  });
  const node = async (bounds: Partial<HistoryBounds> = {}) => nodeOf(await kind.make(engine?.port ?? 0, { ...roomy, ...bounds }));
  // One after the other: a consumer of NATS 2.9 that is made while another node makes the stream may get nothing at first.
  const nodes = async (count: number) => {
    const all = [await node()];
    while (kind.name !== 'memory' && all.length < count) all.push(await node());
    return all;
  };

  it('a feed that has ended takes nothing more, whichever node publishes; others do', async () => {
    const [one, other = one] = (await nodes(2)) as [Node, Node];
    await other.subscribe('a');
    const first = await one.publish('a', '1');
    const end = await one.broker.publish('a', completed);
    await until(() => other.of('a').length === 2);
    for (const { broker } of [one, other]) {
      await expect(broker.publish('a', text('2'))).rejects.toThrow(FeedEndedError);
      await expect(broker.publish('a', completed)).rejects.toThrow(FeedEndedError);
      await broker.publish('b', text('2'));
    }
    // A reader that has nothing gets all, one at the end gets the end, and one that has that is told that there is no more.
    for (const { broker } of [one, other]) {
      const read = (start: Parameters<typeof broker.read>[1]) => broker.read('a', start, 1e6);
      for (const start of ['end', 'newest', positionOf(first)] as const) {
        expect(await read(start)).toMatchObject({
          messages: [{ id: end.id, ...completed }],
          isEnded: true,
          isReset: false,
          hasMore: false,
        });
      }
      expect(await read('earliest')).toMatchObject({ messages: [{ id: first.id }, { id: end.id }], isEnded: true });
      expect(await read(positionOf(end))).toMatchObject({ messages: [], isEnded: true, isReset: false });
      expect(await broker.read('b', 'end', 1e6)).toMatchObject({ messages: [], isEnded: false });
    }
    expect(other.of('a').map((message) => message !== 'lost' && isEnd(message))).toEqual([false, true]);
  });

  it.each<[string, Partial<HistoryBounds>]>([
    ['the number', { historyLength: 0 }],
    ['the bytes', { historyBytes: 1 }],
  ])('the end is stored, however few %s of messages that are', async (_, bounds) => {
    const one = await node(bounds);
    await one.count('a', 1, 3);
    const end = await one.broker.publish('a', completed);
    expect(await one.broker.read('a', 'newest', 1e6)).toMatchObject({ messages: [{ id: end.id }], isEnded: true });
    await expect(one.publish('a', '4')).rejects.toThrow(FeedEndedError);
  });

  it('the end expires as other messages do; then the feed takes messages again', async () => {
    const one = await node({ historyTtlMs: 400 });
    const end = await one.broker.publish('a', completed);
    while (Date.now() < end.time + 450) await new Promise((resolve) => setTimeout(resolve, 20));
    await one.publish('a', 'new');
    expect(await one.read('a', 'earliest')).toEqual(['new']);
    expect(await one.broker.read('a', 'newest', 1e6)).toMatchObject({ isEnded: false });
  });

  it('a feed that is cleared begins anew: followers are told, and every position before is one of the past', async () => {
    const [one, other = one] = (await nodes(2)) as [Node, Node];
    await other.subscribe('a', 'b');
    const [first] = await one.count('a', 1, 2);
    const end = await one.broker.publish('a', completed);
    await one.count('b', 1, 1);
    await one.broker.clear('a');
    await until(() => other.of('a').length === 4);
    expect(other.of('a').at(-1)).toBe('lost');
    const cleared = await other.broker.read('a', 'end', 1e6);
    expect(cleared).toMatchObject({ messages: [], isEnded: false, isReset: false });
    const again = await other.publish('a', 'again');
    await until(() => other.of('a').length === 5);
    expect(other.texts('b')).toEqual(['1']);
    for (const { broker } of [one, other]) {
      for (const position of [first, end] as StoredMessage[]) {
        expect(await broker.read('a', positionOf(position), 1e6)).toMatchObject({ messages: [{ id: again.id }], isReset: true });
      }
      expect(await broker.read('a', cleared.after, 1e6)).toMatchObject({ messages: [{ id: again.id }], isReset: false });
      expect(await broker.read('b', positionOf(end), 1e6)).toMatchObject({ isReset: false });
    }
    await one.broker.clear('never-seen');
  });

  it('a feed that is cleared at an expected position keeps what has come behind that', async () => {
    const [one, other = one] = (await nodes(2)) as [Node, Node];
    await other.subscribe('a');
    const { after: empty } = await one.broker.read('a', 'end', 1e6);
    await one.publish('a', '1');
    const end = await one.broker.publish('a', completed);
    await other.publish('b', 'not on this feed');
    const past = [empty, nowhere, { ...positionOf(end), offset: end.offset - 1 }, { ...positionOf(end), epoch: 'another' }];
    for (const { broker } of [one, other]) {
      for (const position of past) await expect(broker.clear('a', position)).rejects.toThrow(FeedPositionError);
      expect(await broker.read('a', 'earliest', 1e6)).toMatchObject({ messages: [{ text: '1' }, { id: end.id }], isEnded: true });
      await expect(broker.publish('a', text('2'))).rejects.toThrow(FeedEndedError);
    }
    const { after } = await other.broker.read('b', 'end', 1e6);
    await other.broker.clear('a', after);
    // What comes in between is also another clearing.
    await expect(one.broker.clear('a', after)).rejects.toThrow(FeedPositionError);
    await one.publish('a', '3');
    await until(() => other.of('a').length === 4);
    expect(other.texts('a')).toEqual(['1', JSON.stringify({ reason: 'completed' }), 'lost', '3']);
    expect(await one.read('a', 'earliest')).toEqual(['3']);
    const racing = await Promise.allSettled([
      ...[one, other].map(({ broker }) => broker.clear('a', positionOf(end))),
      ...[one, other].map(async ({ broker }) => {
        const { after, end } = await broker.read('a', 'end', 1e6);
        await broker.clear('a', { epoch: after.epoch, offset: end });
      }),
    ]);
    expect(racing.slice(0, 2).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    expect(racing.slice(2).some(({ status }) => status === 'fulfilled')).toBe(true);
    expect(await other.read('a', 'earliest')).toEqual([]);
  });

  it('what is acknowledged came before the end, on all nodes alike, while many publish and one ends', async () => {
    const all = await nodes(3);
    for (let round = 0; round < 10; round += 1) {
      const feed = `feed${round}`;
      await Promise.all(all.map((each) => each.subscribe(feed)));
      const published: Promise<StoredMessage | undefined>[] = [];
      const ignoreEnded = (error: unknown) => {
        if (!(error instanceof FeedEndedError)) throw error;
        return undefined;
      };
      for (let n = 0; n < 30; n += 1) {
        const { broker } = all[n % all.length] as Node;
        published.push(broker.publish(feed, n === 10 + round ? completed : text(`${n}`)).catch(ignoreEnded));
        if (n % 7 === 0) await new Promise((resolve) => setImmediate(resolve));
      }
      const ids = (await Promise.all(published)).flatMap((message) => message?.id ?? []);
      for (const each of all) {
        await until(() => each.of(feed).length >= ids.length);
        const seen = each.of(feed) as StoredMessage[];
        expect(seen.map(({ id }) => id).sort()).toEqual([...ids].sort());
        expect(seen.findIndex(isEnd)).toBe(ids.length - 1);
        expect((await each.history(feed, 'earliest')).messages.map(({ id }) => id)).toEqual(seen.map(({ id }) => id));
      }
    }
  });

  it('what is acknowledged is delivered, and what is refused is not, while feeds end and begin anew', async () => {
    const all = await nodes(3);
    const act = fc.record({
      does: fc.constantFrom(...(['publish', 'publish', 'publish', 'publish with a key', 'publish with a key', 'end', 'clear'] as const)),
      node: fc.nat(2),
      key: fc.nat(9),
      waits: fc.boolean(),
    });
    let round = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(act, { minLength: 20, maxLength: 120, size: 'max' }), async (acts) => {
        round += 1;
        const feed = `anew${round}`;
        const follower = all[0] as Node;
        await follower.subscribe(feed);
        const [acknowledged, refused] = [new Set<string>(), new Set<string>()];
        const publish = async ({ broker }: Node, value: string, key?: string) => {
          try {
            const { id } = await broker.publish(feed, text(value), key === undefined ? undefined : { key });
            acknowledged.add(id);
          } catch (error) {
            if (!(error instanceof FeedEndedError)) throw error;
            if (key === undefined) refused.add(value);
          }
        };
        const working: Promise<unknown>[] = [];
        for (const [n, { does, node, key, waits }] of acts.entries()) {
          const at = all[node % all.length] as Node;
          if (does === 'clear') working.push(at.broker.clear(feed));
          else if (does === 'end') working.push(at.broker.publish(feed, completed).catch(() => {}));
          else if (does === 'publish') working.push(publish(at, `${n}`));
          else working.push(publish(at, `with key ${key}`, `${key}`));
          if (waits) await working.at(-1);
        }
        await Promise.all(working);
        // All that came before has been delivered with this.
        await follower.broker.clear(feed);
        const last = await follower.publish(feed, 'last');
        const seen = () => follower.of(feed).flatMap((message) => (message === 'lost' || isEnd(message) ? [] : [message]));
        await until(() => seen().some(({ id }) => id === last.id));
        expect(
          seen()
            .map(({ id }) => id)
            .sort(),
        ).toEqual([...acknowledged, last.id].sort());
        expect(seen().filter((message) => refused.has(message.text))).toEqual([]);
      }),
      { numRuns: 40 },
    );
  });

  it('a key of a message that was refused is one that was not used', async () => {
    const [one, other = one] = (await nodes(2)) as [Node, Node];
    await other.subscribe('a');
    const end = one.broker.publish('a', completed);
    // Sent before the end is heard of, and stored behind it.
    const refused = one.broker.publish('a', text('1'), { key: 'k' });
    await end;
    await expect(refused).rejects.toThrow(FeedEndedError);
    await expect(one.broker.publish('a', text('1'), { key: 'k' })).rejects.toThrow(FeedEndedError);
    await one.broker.clear('a');
    const stored = await Promise.all([one, other, one].map(({ broker }) => broker.publish('a', text('1'), { key: 'k' })));
    expect(new Set(stored.map(({ id }) => id)).size).toBe(1);
    expect(await other.read('a', 'earliest')).toEqual(['1']);
  });

  it('the keys of a feed that is cleared are forgotten', async () => {
    const [one, other = one] = (await nodes(2)) as [Node, Node];
    await one.broker.publish('a', text('1'), { key: 'k' });
    const kept = await one.broker.publish('b', text('1'), { key: 'k' });
    for (const value of ['1', 'other']) {
      await one.broker.clear('a');
      await one.publish('a', 'before');
      const first = await other.broker.publish('a', text(value), { key: 'k' });
      const again = await Promise.all([one, other].map(({ broker }) => broker.publish('a', text(value), { key: 'k' })));
      expect(again.map(({ id }) => id)).toEqual([first.id, first.id]);
      await expect(one.broker.publish('a', text('another'), { key: 'k' })).rejects.toThrow(KeyReusedError);
      expect(await other.read('a', 'earliest')).toEqual(['before', value]);
    }
    expect((await other.broker.publish('b', text('1'), { key: 'k' })).id).toBe(kept.id);
  });

  it('a publication with a key is stored once: its repetition is answered with the first message', async () => {
    const [one, other = one] = (await nodes(2)) as [Node, Node];
    await other.subscribe('a', 'b');
    const key = `a key with spaces, – and ${'long '.repeat(30)}`;
    const first = await one.broker.publish('a', { type: 'x', text: '{"n":1}', isJson: true }, { key });
    const again = await Promise.all(
      [one, other, one].map(({ broker }) => broker.publish('a', { type: 'x', text: '{"n":1}', isJson: true }, { key })),
    );
    for (const { id, time, text } of again) {
      expect({ id, text }).toEqual({ id: first.id, text: first.text });
      expect(Math.abs(time - first.time)).toBeLessThanOrEqual(1);
    }
    for (const { broker } of [one, other]) {
      await expect(broker.publish('a', text('other'), { key })).rejects.toThrow(KeyReusedError);
      await expect(broker.publish('a', { type: 'y', text: '{"n":1}', isJson: true }, { key })).rejects.toThrow(KeyReusedError);
    }
    // Of another feed, it is another key.
    expect((await other.broker.publish('b', text('1'), { key })).id).not.toBe(first.id);
    const end = await other.broker.publish('a', completed);
    expect((await one.broker.publish('a', { type: 'x', text: '{"n":1}', isJson: true }, { key })).id).toBe(first.id);
    await until(() => other.of('a').length === 2 && other.of('b').length === 1);
    expect((other.of('a') as StoredMessage[]).map(({ id }) => id)).toEqual([first.id, end.id]);
  });

  it('publications with keys that are repeated at once, late and in any order are each stored once, and all repetitions get its id', async () => {
    const all = await nodes(3);
    const publication = fc.record({ key: fc.integer({ min: 0, max: 12 }), node: fc.nat(2), waits: fc.boolean() });
    let round = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(publication, { minLength: 20, maxLength: 120, size: 'max' }), async (publications) => {
        round += 1;
        const feed = `keys${round}`;
        const answers: Promise<StoredMessage>[] = [];
        for (const { key, node, waits } of publications) {
          const { broker } = all[node % all.length] as Node;
          answers.push(broker.publish(feed, text(`text ${key}`), { key: `${key}` }));
          if (waits) await answers.at(-1);
        }
        const ids = new Map<string, Set<string>>();
        for (const { text, id } of await Promise.all(answers)) ids.set(text, (ids.get(text) ?? new Set()).add(id));
        const { messages } = await (all[0] as Node).history(feed, 'earliest');
        expect(messages.map(({ text }) => text).sort()).toEqual([...ids.keys()].sort());
        for (const { text, id } of messages) expect([...(ids.get(text) ?? [])]).toEqual([id]);
      }),
      { numRuns: 40 },
    );
  });

  it('a key is forgotten after its time', async () => {
    const one = await node({ idempotencyMs: 300 });
    const first = await one.broker.publish('a', text('1'), { key: 'k' });
    let second = first;
    while (second.id === first.id) {
      await new Promise((resolve) => setTimeout(resolve, 50));
      second = await one.broker.publish('a', text('1'), { key: 'k' });
    }
    expect(await one.read('a', 'earliest')).toEqual(['1', '1']);
  });

  it('a message that is expected behind a position is stored where no other came in between', async () => {
    const [one, other = one] = (await nodes(2)) as [Node, Node];
    const { after: empty } = await one.broker.read('a', 'end', 1e6);
    const first = await one.broker.publish('a', text('1'), { expected: empty });
    await expect(other.broker.publish('a', text('2'), { expected: empty })).rejects.toThrow(FeedPositionError);
    await other.publish('b', 'not on this feed');
    const { after } = await other.broker.read('b', 'end', 1e6);
    const second = await other.broker.publish('a', text('2'), { expected: after });
    await expect(one.broker.publish('a', text('3'), { expected: positionOf(first) })).rejects.toThrow(FeedPositionError);
    for (const wrong of [nowhere, { ...positionOf(second), epoch: 'another' }, { ...positionOf(second), offset: 8 * 10 ** 15 }]) {
      await expect(one.broker.publish('a', text('3'), { expected: wrong })).rejects.toThrow(FeedPositionError);
    }
    // One wins, over all nodes.
    const expected = positionOf(second);
    const racing = await Promise.allSettled(
      Array.from({ length: 20 }, (_, n) => ((n % 2 ? one : other) as Node).broker.publish('a', text(`race ${n}`), { expected })),
    );
    expect(racing.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    for (const result of racing) if (result.status === 'rejected') expect(result.reason).toBeInstanceOf(FeedPositionError);
    expect(await one.read('a', 'earliest')).toHaveLength(3);
  });
});
