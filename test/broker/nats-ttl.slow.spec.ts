import fc from 'fast-check';
import { natsBroker } from '../../src/feed/broker/nats/index.js';
import { RuleSet } from '../../src/feed/pubsub/rules.js';
import { missing } from '../../tools/engines.mjs';
import { type Node, positionOf } from '../support/broker-node.js';
import { linkTo, nodeOf, roomy, startEngine } from '../support/brokers.js';

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Of the last two nothing expires; of the last, next to nothing is published. */
const feeds = ['short/1', 'short/2', 'middle', 'kept', 'plain', 'rare'] as const;
const lasting: readonly string[] = ['plain', 'rare'];
const rules = { 'short/*': { historyTtlMs: 800 }, middle: { historyTtlMs: 2500 }, kept: { historyTtlMs: 700, keepNewest: true } };

/** What is published, feed by feed, and how long nothing is then. */
const burst = fc.record({
  feeds: fc.array(fc.nat(100), { maxLength: 12, size: 'max' }).map((some) => some.map((n) => feeds[n === 100 ? 5 : n % 5] as string)),
  pauseMs: fc.oneof({ arbitrary: fc.nat(900), weight: 4 }, { arbitrary: fc.nat(2500), weight: 1 }),
});
/** Bursts, and whether a node is cut off meanwhile. */
const round = fc.record({ isCut: fc.boolean(), bursts: fc.array(burst, { minLength: 1, maxLength: 5, size: 'max' }) });

/** How a follower missed something that it was not told of; undefined where it did not. */
function silentGap(node: Node, feed: string, published: number): string | undefined {
  let last = 0;
  let isTold = false;
  for (const seen of node.texts(feed)) {
    const n = Number(seen);
    if (seen !== 'lost' && (n <= last || (n > last + 1 && !isTold))) return `${seen} behind ${last}`;
    isTold = seen === 'lost';
    if (!isTold) last = n;
  }
  return last === published || isTold ? undefined : `${last} of ${published}`;
}

(missing().includes('nats-server-2.11') ? describe.skip : describe)('the times to live of feeds, on NATS 2.11', () => {
  it('let nobody miss a message without being told, and tell nobody who can have missed none', async () => {
    const property = fc.asyncProperty(fc.array(round, { minLength: 5, maxLength: 5 }), async (rounds) => {
      const engine = await startEngine('nats-2.11');
      const node = async (port = engine.port) => {
        const make = natsBroker({ servers: `127.0.0.1:${port}` });
        return nodeOf(await make({ ...roomy, retention: new RuleSet(rules, roomy).retention, log: () => {} }));
      };
      const link = await linkTo(engine);
      const [cut, other] = [await node(link.port), await node()];
      await cut.subscribe(...feeds);
      // It stays at the beginning of the stream: where nothing is left of that, nothing tells how old what is missing was.
      const published = [await other.publish('plain', '1')];
      const of = (feed: string) => published.filter((message) => message.feed === feed);
      for (const { isCut, bursts } of rounds) {
        if (isCut) link.cut();
        for (const { feeds, pauseMs } of bursts) {
          for (const feed of feeds) published.push(await other.publish(feed, `${of(feed).length + 1}`));
          await sleep(pauseMs);
        }
        link.sever();
        link.mend();
        await cut.reconnects();
        await cut.read('plain', 'end');
        for (const feed of feeds) expect([feed, silentGap(cut, feed, of(feed).length)]).toEqual([feed, undefined]);
        for (const feed of lasting) expect(cut.texts(feed)).not.toContain('lost');
        const later = await node();
        for (const each of [later, cut]) {
          for (const feed of feeds) {
            for (const at of published.filter((_, n) => n % 5 === 0 || n > published.length - 4)) {
              const { isReset, messages } = await each.history(feed, positionOf(at));
              const since = isReset
                ? of(feed).slice(-messages.length || published.length)
                : of(feed).filter(({ offset }) => offset > at.offset);
              expect([feed, ...messages.map(({ id }) => id)]).toEqual([feed, ...since.map(({ id }) => id)]);
              expect(isReset && lasting.includes(feed)).toBe(false);
            }
          }
        }
        await later.broker.close();
      }
      await Promise.all([cut.broker.close(), other.broker.close()]);
      await link.close();
      await engine.stop();
    });
    await fc.assert(property, { numRuns: 4, endOnFailure: true });
  });
});
