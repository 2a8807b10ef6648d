import { firstValueFrom, take, toArray } from 'rxjs';
import { ticks } from './ticks.js';

const timers = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;

describe('ticks', () => {
  it.each([1, 7, 50, 95])('come a period apart, the first up to 10 ms early, with a period of %i ms', async (period) => {
    const begun = performance.now();
    await firstValueFrom(ticks(period).pipe(take(5), toArray()));
    expect(performance.now() - begun).toBeGreaterThanOrEqual(5 * period - 11);
  });

  it('come equally often for all subscribers, however many share the timer', async () => {
    const before = timers();
    const source = ticks(20);
    const counts = new Array(100).fill(0);
    const subscriptions = counts.map((_, n) =>
      source.subscribe(() => {
        counts[n] += 1;
      }),
    );
    expect(timers()).toBe(before + 1);
    await firstValueFrom(source.pipe(take(10), toArray()));
    expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1);
    for (const subscription of subscriptions) subscription.unsubscribe();
  });

  it('keep no timer when nobody listens, and start again', async () => {
    const own = timers();
    const source = ticks(5);
    for (let n = 0; n < 3; n += 1) {
      await firstValueFrom(source);
      const before = performance.now();
      while (timers() > own && performance.now() - before < 5000) await new Promise(setImmediate);
      expect(timers()).toBe(own);
    }
  });
});
