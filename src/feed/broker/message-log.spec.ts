import fc from 'fast-check';
import { until } from '../../../test/support/until.js';
import { endContent } from '../message/end.js';
import { type StoredMessage, storedMessage } from '../message/message.js';
import { type FeedRules, RuleSet } from '../pubsub/rules.js';
import { type HistoryBounds, messageOverhead } from './history-bounds.js';
import { MessageLog } from './message-log.js';

const roomy: HistoryBounds = {
  historyLength: 1000,
  historyTtlMs: 200,
  historyBytes: 1e6,
  historyTotalBytes: 1e7,
  idempotencyMs: 60_000,
};

const text = (length: number) => ({ type: undefined, text: 'x'.repeat(length), isJson: false });
const end = endContent({ reason: 'completed' });
const withRules = (rules: FeedRules, bounds: Partial<HistoryBounds> = {}): HistoryBounds => {
  const all = { ...roomy, ...bounds };
  return { ...all, retention: new RuleSet(rules, all).retention };
};

/** No limit on a page. */
const all = Number.POSITIVE_INFINITY;

describe('a log with rules', () => {
  it('tells of each feed by its time to live that messages may have expired before they arrived', () => {
    let now = 1000;
    const rules = { short: { historyTtlMs: 50 }, 'kept/*': { historyTtlMs: 50, keepNewest: true } };
    const log = new MessageLog('e', withRules(rules), () => now);
    for (const [n, feed] of ['short', 'plain', 'kept/a', 'short'].entries()) log.append(storedMessage(feed, 'e', n + 1, now, text(1)));
    now += 10;
    log.missExpired(50, 2);
    const read = (feed: string, offset: number) => {
      const { isReset, messages } = log.read(feed, { epoch: 'e', offset }, all);
      return [isReset, ...messages.map((message) => message.offset)];
    };
    expect([read('short', 1), read('short', 2)]).toEqual([
      [true, 4],
      [false, 4],
    ]);
    expect([read('plain', 0), read('kept/a', 0), read('quiet', 0)]).toEqual([[false, 2], [false, 3], [false]]);
    expect(log.read('short', 'earliest', all)).toMatchObject({ isReset: true, messages: [{ offset: 4 }] });
    expect([log.read('short', { time: now }, all).isReset, log.read('short', { time: now + 1 }, all).isReset]).toEqual([true, false]);
    log.clear('short');
    log.missExpired(50, 7);
    expect([log.lastOffsetOf('short'), log.lastOffsetOf('plain'), log.lastOffsetOf('kept/a')]).toEqual([7, 2, 3]);
  });

  const feeds = ['plain', 'short', 'long', 'kept/short', 'kept/long', 'few'];
  const step = fc.oneof(
    { weight: 6, arbitrary: fc.record({ kind: fc.constant('publish' as const), feed: fc.constantFrom(...feeds), length: fc.nat(200) }) },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('wait' as const), ms: fc.nat(120) }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('read' as const), asked: fc.nat(40) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('end' as const), feed: fc.constantFrom(...feeds) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('clear' as const), feed: fc.constantFrom(...feeds) }) },
  );

  it('stores of each feed what its rule allows, and tells exactly whether messages after a position are gone', () => {
    const runs = fc.record({
      steps: fc.array(step, { maxLength: 80, size: 'max' }),
      few: fc.nat(3),
      historyTotalBytes: fc.integer({ min: 0, max: 12 * messageOverhead }),
    });
    fc.assert(
      fc.property(runs, ({ steps, few, historyTotalBytes }) => {
        const rules = {
          short: { historyTtlMs: 50 },
          long: { historyTtlMs: 500 },
          'kept/*': { keepNewest: true, historyTtlMs: 50 },
          'kept/long': { keepNewest: true },
          few: { historyLength: few, historyBytes: 2 * messageOverhead + 100 },
        };
        const bounds = withRules(rules, { historyTotalBytes });
        let now = 1000;
        let offset = 0;
        const log = new MessageLog('e', bounds, () => now);
        // The model: a list of all messages that are stored, and one of all that ever were.
        let stored: (StoredMessage & { readonly bytes: number })[] = [];
        const published: Pick<StoredMessage, 'feed' | 'offset'>[] = [];
        const of = (feed: string) => stored.filter((message) => message.feed === feed);
        const sum = (messages: typeof stored) => messages.reduce((total, { bytes }) => total + bytes, 0);
        const boundsOf = (feed: string) => bounds.retention?.of(feed) ?? bounds;
        const drop = (message: unknown) => {
          stored = stored.filter((other) => other !== message);
        };
        const expire = () => {
          for (const message of stored) {
            const { historyTtlMs, keepNewest } = boundsOf(message.feed);
            const isKept = keepNewest && message.type !== 'end' && of(message.feed).at(-1) === message;
            if (message.time + historyTtlMs <= now && !isKept) drop(message);
          }
        };
        for (const one of steps) {
          expire();
          if (one.kind === 'wait') now += one.ms;
          else if (one.kind === 'clear') {
            log.clear(one.feed);
            offset += 1;
            for (const message of of(one.feed)) drop(message);
            published.push({ feed: one.feed, offset });
          } else if (one.kind === 'read') {
            for (const feed of feeds) {
              const own = of(feed).map((message) => message.offset);
              const offsetsFrom = (start: Parameters<MessageLog['read']>[1]) =>
                log.read(feed, start, all).messages.map(({ offset }) => offset);
              expect(offsetsFrom('earliest')).toEqual(own);
              expect(offsetsFrom('newest')).toEqual(own.slice(-1));
              for (const last of [1, 2, 5]) expect(offsetsFrom({ last })).toEqual(own.slice(-last));
              const { isReset, messages } = log.read(feed, { epoch: 'e', offset: one.asked }, all);
              const missed = published.filter((message) => message.feed === feed && message.offset > one.asked);
              expect(isReset).toBe(one.asked > offset || missed.some((message) => !own.includes(message.offset)));
              if (!isReset) expect(messages.map((message) => message.offset)).toEqual(missed.map((message) => message.offset));
            }
          } else if (!log.isEnded(one.feed)) {
            expect(of(one.feed).at(-1)?.type).not.toBe('end');
            offset += 1;
            const message = storedMessage(one.feed, 'e', offset, now, one.kind === 'end' ? end : text(one.length));
            log.append(message);
            const { historyLength, historyBytes } = boundsOf(one.feed);
            const bytes = message.text.length + (message.type?.length ?? 0) + 2 * one.feed.length + messageOverhead;
            stored.push({ ...message, bytes });
            published.push(message);
            expire();
            const least = one.kind === 'end' ? 1 : 0;
            while (of(one.feed).length > least && (of(one.feed).length > historyLength || sum(of(one.feed)) > historyBytes))
              drop(of(one.feed)[0]);
            while (sum(stored) > historyTotalBytes) drop(stored[0]);
          }
        }
        log.clearAll();
      }),
      { numRuns: 200 },
    );
  });

  it('lets messages go by themselves, each after its own time, and keeps the newest where a rule says so', async () => {
    const log = new MessageLog('e', withRules({ 'kept/*': { keepNewest: true, historyTtlMs: 1 }, long: { historyTtlMs: 1200 } }));
    const feeds = ['plain', 'long', 'kept/a', 'kept/a', 'kept/ended'];
    for (const [n, feed] of feeds.entries()) log.append(storedMessage(feed, 'e', n + 1, Date.now(), text(1)));
    log.append(storedMessage('kept/ended', 'e', 6, Date.now(), end));
    for (const feed of ['plain', 'long', 'kept/ended']) await until(() => log.newestOf(feed) === undefined);
    expect(log.read('kept/a', 'earliest', all)).toMatchObject({ messages: [{ offset: 4 }], isReset: true });
    log.append(storedMessage('kept/a', 'e', 7, Date.now(), text(1)));
    expect(log.read('kept/a', 'earliest', all)).toMatchObject({ messages: [{ offset: 7 }] });
    log.clearAll();
  });
});
