import { spawnSync } from 'node:child_process';
import fc from 'fast-check';
import type { StoredMessage } from '../../message/message.js';
import { type HistoryBounds, messageOverhead } from '../history-bounds.js';
import { MemoryBroker } from './memory-broker.js';

const roomy: HistoryBounds = {
  historyLength: 1000,
  historyTtlMs: 60_000,
  historyBytes: 1e6,
  historyTotalBytes: 1e7,
  idempotencyMs: 60_000,
};

/** No limit on a page. */
const all = Number.POSITIVE_INFINITY;

describe('MemoryBroker', () => {
  it('stores what the bounds allow, in order, and tells exactly whether messages after a position are gone', async () => {
    const drafts = fc.array(fc.tuple(fc.integer({ min: 0, max: 4 }), fc.integer({ min: 0, max: 300 })), { maxLength: 60 });
    const bounds = fc.record({
      historyLength: fc.integer({ min: 0, max: 8 }),
      historyBytes: fc.integer({ min: 0, max: 4000 }),
      historyTotalBytes: fc.integer({ min: 0, max: 12_000 }),
    });
    await fc.assert(
      fc.asyncProperty(drafts, bounds, fc.integer({ min: 0, max: 60 }), async (drafts, given, asked) => {
        const broker = new MemoryBroker({ ...roomy, ...given });
        // The model: a list of all, from which the bounds take the oldest.
        let kept: { feed: string; offset: number; bytes: number }[] = [];
        const published: StoredMessage[] = [];
        for (const [n, size] of drafts) {
          const feed = `feed${n}`;
          const message = await broker.publish(feed, { type: undefined, text: 'x'.repeat(size), isJson: false });
          published.push(message);
          kept.push({ feed, offset: message.offset, bytes: size + 2 * feed.length + messageOverhead });
          const own = () => kept.filter((entry) => entry.feed === feed);
          const bytes = (entries: typeof kept) => entries.reduce((sum, entry) => sum + entry.bytes, 0);
          while (own().length > given.historyLength || bytes(own()) > given.historyBytes) kept.splice(kept.indexOf(own()[0] as never), 1);
          while (bytes(kept) > given.historyTotalBytes) kept = kept.slice(1);
        }
        const { after: end } = await broker.read('none', 'end', all);
        for (let n = 0; n < 5; n += 1) {
          const feed = `feed${n}`;
          const own = kept.filter((entry) => entry.feed === feed).map(({ offset }) => offset);
          const offsets = (messages: readonly StoredMessage[]) => messages.map(({ offset }) => offset);
          expect(offsets((await broker.read(feed, 'earliest', all)).messages)).toEqual(own);
          expect(offsets((await broker.read(feed, 'newest', all)).messages)).toEqual(own.slice(-1));

          const { messages, isReset, after } = await broker.read(feed, { epoch: end.epoch, offset: asked }, all);
          const missed = published.filter((message) => message.feed === feed && message.offset > asked);
          if (asked > end.offset) expect(isReset).toBe(true);
          else expect(isReset).toBe(missed.some(({ offset }) => !own.includes(offset)));
          expect(offsets(messages)).toEqual(isReset ? own : offsets(missed));
          // A reader can resume from the position that is returned instead.
          expect((await broker.read(feed, after, all)).isReset).toBe(false);
        }
        await broker.close();
      }),
      { numRuns: 300 },
    );
  });

  it.each([
    ['short messages', 8, 0, 'x'],
    ['long names', 200, 200, 'x'],
    ['long names and types of wide characters', 200, 200, '€'],
    ['long texts with one wide character', 8, 0, `${'x'.repeat(2000)}€`],
  ])('takes no more memory than its bounds allow, with %s', (_, feedLength, typeLength, text) => {
    const script = `import { MemoryBroker } from './dist/feed/broker/memory/memory-broker.js';
      const historyTotalBytes = 16 * 2 ** 20;
      // As they come from a socket: each a string of its own.
      const copy = (text) => Buffer.from(text).toString();
      const filled = async (count) => {
        const broker = new MemoryBroker({ historyLength: 100, historyTtlMs: 60_000, historyBytes: 1e6, historyTotalBytes, idempotencyMs: 60_000 });
        for (let n = 0; n < count; n += 1) {
          const feed = copy(String(n).padStart(${feedLength}, 'a'));
          await broker.publish(feed, { type: ${typeLength} ? copy('${text.at(-1)}'.repeat(${typeLength})) : undefined, text: copy('${text}'), isJson: false });
          (await broker.read(feed, 'newest', 1e6)).messages[0].id.at(-1); // ids in the form in which they are sent
        }
        return broker;
      };
      // What V8 compiles on the way does not count.
      await (await filled(10_000)).close();
      gc();
      const before = process.memoryUsage().heapUsed;
      const broker = await filled(60_000);
      gc();
      console.log((process.memoryUsage().heapUsed - before) / historyTotalBytes);
      await broker.close();`;
    const { stdout, stderr } = spawnSync(process.execPath, ['--expose-gc', '--input-type=module', '-e', script], { encoding: 'utf8' });
    expect(stderr).toBe('');
    expect(Number(stdout)).toBeGreaterThan(0.4);
    expect(Number(stdout)).toBeLessThanOrEqual(1);
  });
});
