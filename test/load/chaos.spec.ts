import { Ledger } from '../../load/chaos/ledger.js';
import { Faults, Feed } from '../../load/lib/feed.js';

/** A follower's ledger of a feed with so many messages, all acknowledged but some. */
async function ledgerOf(count: number, ...refused: number[]) {
  const [feed, faults] = [new Feed('a'), new Faults()];
  const publish = async (more: number) => {
    for (let n = 0; n < more; n += 1) await feed.publish(async () => !refused.includes(feed.sent), 0);
  };
  const ledger = new Ledger(feed, faults);
  ledger.begin();
  await publish(count);
  const take = (...numbers: number[]) => {
    for (const number of numbers) ledger.take(number);
  };
  const wrong = () => Object.fromEntries([...faults].filter(([, times]) => times > 0));
  return { ledger, publish, take, wrong };
}

describe("what a follower has of an engine that forgets, in the chaos run's verdict", () => {
  it('is lost silently without a reset, and told with one', async () => {
    const { ledger, take, publish, wrong } = await ledgerOf(5);
    take(1, 2, 4);
    expect(ledger).toMatchObject({ missing: 2, told: [] });
    ledger.reset();
    expect(ledger).toMatchObject({ missing: 0, told: [3, 5], resets: 1 });
    await publish(2);
    take(7);
    expect(ledger).toMatchObject({ missing: 1, told: [3, 5] });
    expect(wrong()).toEqual({});
  });

  it('may come again after a reset, in its order, and what was told may come all the same', async () => {
    const { ledger, take, wrong } = await ledgerOf(4);
    take(1, 3, 4);
    ledger.reset();
    take(1, 2, 3);
    expect(ledger).toMatchObject({ missing: 0, told: [], again: 2 });
    expect(wrong()).toEqual({});
    take(3, 1);
    expect(wrong()).toEqual({ repeated: 2 });
  });

  it('is out of order, repeated or misdelivered', async () => {
    const { take, wrong } = await ledgerOf(4);
    take(2, 1, 2, 5);
    expect(wrong()).toEqual({ 'out of order': 1, repeated: 1, misdelivered: 1 });
  });

  it('may come in any order where several are under way at a time; of those that were, a reset tells nothing', async () => {
    const [feed, faults] = [new Feed('a', 3), new Faults()];
    const ledger = new Ledger(feed, faults);
    ledger.begin();
    const acknowledge: ((isOwed: boolean) => void)[] = [];
    const publishing = [1, 2, 3].map(() => feed.publish(() => new Promise((resolve) => acknowledge.push(resolve)), 0));
    expect([feed.isBusy, feed.sent]).toEqual([true, 3]);
    acknowledge[1]?.(true);
    await publishing[1];
    expect(feed.isBusy).toBe(false);
    ledger.reset();
    for (const resolve of acknowledge) resolve(true);
    await Promise.all(publishing);
    expect(ledger).toMatchObject({ missing: 2, told: [2] });
    for (const number of [3, 1, 3]) ledger.take(number);
    expect(ledger).toMatchObject({ missing: 0, told: [2] });
    expect(Object.fromEntries([...faults].filter(([, times]) => times > 0))).toEqual({ repeated: 1 });
  });

  it('need not come where it was not acknowledged, and may come late', async () => {
    const { ledger, take, wrong } = await ledgerOf(3, 2);
    take(1, 3);
    expect(ledger.missing).toBe(0);
    take(2);
    expect(wrong()).toEqual({});
  });
});
