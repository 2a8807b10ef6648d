import fc from 'fast-check';
import type { Broker, History, HistoryBounds } from '../broker/broker.js';
import { MemoryBroker } from '../broker/memory/memory-broker.js';
import { resetType, type StoredMessage, storedMessage } from '../message/message.js';
import { nowhere, type Position, type Start } from '../message/position.js';
import { Replay } from './replay.js';
import { Mark, type ReplayItem } from './replay-item.js';

const roomy: HistoryBounds = {
  historyLength: 1000,
  historyTtlMs: 60_000,
  historyBytes: 1e6,
  historyTotalBytes: 1e7,
  idempotencyMs: 60_000,
};
const message = (feed: string, offset: number) => storedMessage(feed, 'e', offset, 0, { type: undefined, text: 'x', isJson: false });
const isStored = (item: ReplayItem): item is StoredMessage => 'offset' in item;

describe('a replay of several feeds', () => {
  it.each([true, false])(
    'leaves to live delivery what was published between its first read and its last (resumed: %s)',
    async (isResumed) => {
      const histories: Record<string, History> = {
        a: { messages: [message('a', 3)], after: { epoch: 'e', offset: 1 }, end: 4, hasMore: false, isReset: false, isEnded: false },
        b: {
          messages: [message('b', 2), message('b', 6)],
          after: { epoch: 'e', offset: 1 },
          end: 7,
          hasMore: false,
          isReset: false,
          isEnded: false,
        },
      };
      const broker = { read: async (feed: string) => histories[feed] } as unknown as Broker;
      const replay = await Replay.open(broker, { feeds: ['a', 'b'], startOf: () => nowhere, isResumed, pageBytes: 100 });
      const items: ReplayItem[] = [];
      for (let item = replay.take(); item; item = replay.take()) items.push(item);
      expect(replay).toMatchObject({ isDone: true, end: 4, start: { offset: 1 } });
      expect(items.flatMap((item) => (item instanceof Mark ? [] : [item.feed]))).toEqual(['b', 'a']);
      if (!isResumed) expect((items.at(-1) as Mark).position).toBe('e-4');
    },
  );

  it('holds no more bytes than its page for a reader that takes nothing, whatever its characters take', async () => {
    const broker = new MemoryBroker(roomy);
    const feeds = ['a', 'b', 'c'];
    const text = '€'.repeat(1200);
    for (const feed of feeds) await broker.publish(feed, { type: undefined, text, isJson: false });
    const replay = await Replay.open(broker, { feeds, startOf: () => 'earliest', isResumed: true, pageBytes: 4000 });
    const held: string[] = [];
    for (let item = replay.take(); item !== undefined; item = replay.take()) if (isStored(item)) held.push(item.feed);
    expect(held).toEqual(['a']);
    for (let n = 0; n < 2; n += 1) {
      await replay.read();
      expect(replay.waitingBytes).toBe(3600);
      held.push((replay.take() as StoredMessage).feed);
    }
    expect(replay).toMatchObject({ waitingBytes: 0, isDone: true });
    expect(held).toEqual(feeds);
    await broker.close();
  });

  const longest = 3000;
  /** A message to publish: the number of its feed, and its length. */
  const length = fc.oneof(fc.nat(40), fc.integer({ min: 400, max: longest }));
  const drafts = (maxLength: number) => fc.array(fc.tuple(fc.nat(4), length), { maxLength });
  const schedules = fc.record({
    feeds: fc.integer({ min: 1, max: 5 }),
    before: drafts(60),
    /** What is published before each read of the broker, and before each item is taken. */
    beforeReads: fc.array(drafts(3), { maxLength: 40 }),
    beforeItems: fc.array(drafts(1), { maxLength: 40 }),
    pageBytes: fc.nat(300),
    start: fc.option(fc.nat(59), { nil: undefined }),
  });
  type Schedule = typeof schedules extends fc.Arbitrary<infer Value> ? Value : never;

  /** A subscriber that holds live messages until the replay is done, and then drops those that the replay had. */
  async function run(bounds: HistoryBounds, { feeds: count, before, beforeReads, beforeItems, pageBytes, start }: Schedule) {
    const broker = new MemoryBroker(bounds);
    const feeds = Array.from({ length: count }, (_, n) => `feed${n}`);
    const published: StoredMessage[] = [];
    const publish = async (some: readonly [number, number][] = []) => {
      for (const [feed, length] of some) {
        published.push(await broker.publish(`feed${feed % count}`, { type: undefined, text: 'x'.repeat(length), isJson: false }));
      }
    };
    const [reads, items] = [[...beforeReads], [...beforeItems]];
    const busy: Pick<Broker, 'read'> = {
      read: async (feed, start, limitBytes) => {
        await publish(reads.shift());
        return broker.read(feed, start, limitBytes);
      },
    };

    await publish(before);
    const { after: end } = await broker.read('', 'end', 0);
    const position: Position = start === undefined ? end : { epoch: end.epoch, offset: published[start]?.offset ?? 0 };
    const held: StoredMessage[] = [];
    for (const feed of feeds) broker.subscribe(feed, { next: (message) => held.push(message), lost: () => {} });
    const startOf = (): Start => position;
    const replay = await Replay.open(busy as Broker, { feeds, startOf, isResumed: true, pageBytes });
    const got: ReplayItem[] = [];
    while (!replay.isDone) {
      await publish(items.shift());
      const item = replay.take();
      if (item) got.push(item);
      else await replay.read();
      expect(replay.waitingBytes).toBeLessThanOrEqual(Math.max(pageBytes, 1024 * count) + longest);
    }
    got.push(...held.filter(({ offset }) => offset > replay.end));
    await broker.close();
    return {
      offsets: got.filter(isStored).map(({ offset }) => offset),
      resets: new Set(got.flatMap((item) => (!(item instanceof Mark) && item.type === resetType ? [item.feed] : []))),
      expected: published.filter(({ offset }) => offset > position.offset),
    };
  }

  it('has every message after its start once and in order, while others publish', async () => {
    const property = fc.asyncProperty(schedules, async (schedule) => {
      const { offsets, resets, expected } = await run(roomy, schedule);
      expect(offsets).toEqual(expected.map(({ offset }) => offset));
      expect(resets.size).toBe(0);
    });
    await fc.assert(property, { numRuns: 500 });
  });

  it('tells of each feed that has lost messages to newer ones, and has no duplicate', async () => {
    const bounds = fc.record({ historyLength: fc.integer({ min: 0, max: 8 }), historyTotalBytes: fc.integer({ min: 0, max: 20_000 }) });
    const property = fc.asyncProperty(schedules, bounds, async (schedule, bounds) => {
      const { offsets, resets, expected } = await run({ ...roomy, ...bounds }, schedule);
      expect(offsets).toEqual([...new Set(offsets)].sort((a, b) => a - b));
      const got = new Set(offsets);
      const lossy = expected.flatMap(({ feed, offset }) => (got.has(offset) ? [] : [feed]));
      expect([...resets]).toEqual(expect.arrayContaining(lossy));
    });
    await fc.assert(property, { numRuns: 500 });
  });
});
