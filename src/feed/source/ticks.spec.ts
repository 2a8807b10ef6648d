import { spawnSync } from 'node:child_process';
import { firstValueFrom, take, toArray } from 'rxjs';
import { ticks } from './ticks.js';

/** Runs a script that imports the built `ticks`, in a process that has no timer but its own. */
function script(body: string): string {
  const code = `import { ticks } from './dist/feed/source/ticks.js';
    import { firstValueFrom } from 'rxjs';
    const timers = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
    ${body}`;
  const { stdout, stderr, status } = spawnSync(process.execPath, ['--input-type=module', '-e', code], {
    encoding: 'utf8',
    timeout: 15_000,
  });
  expect({ stderr, status }).toEqual({ stderr: '', status: 0 });
  return stdout;
}

describe('ticks', () => {
  it.each([1, 7, 50, 95])('come a period apart, the first up to 10 ms early, with a period of %i ms', async (period) => {
    const begun = performance.now();
    await firstValueFrom(ticks(period).pipe(take(5), toArray()));
    expect(performance.now() - begun).toBeGreaterThanOrEqual(5 * period - 11);
  });

  it('come equally often for all subscribers', async () => {
    const source = ticks(20);
    const counts = new Array(100).fill(0);
    const subscriptions = counts.map((_, n) =>
      source.subscribe(() => {
        counts[n] += 1;
      }),
    );
    await firstValueFrom(source.pipe(take(10), toArray()));
    expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1);
    for (const subscription of subscriptions) subscription.unsubscribe();
  });

  it('share one timer among all subscribers', () => {
    const printed = script(`const source = ticks(20);
      const subscriptions = Array.from({ length: 1000 }, () => source.subscribe(() => {}));
      console.log(timers());
      for (const subscription of subscriptions) subscription.unsubscribe();`);
    expect(printed).toBe('1\n');
  });

  it('keep no timer when nobody listens, and start again', () => {
    // The process ends by itself: nothing is left that would keep it.
    const printed = script(`const source = ticks(5);
      for (let n = 0; n < 3; n += 1) {
        await firstValueFrom(source);
        while (timers() > 0) await new Promise(setImmediate);
        console.log('none');
      }`);
    expect(printed).toBe('none\nnone\nnone\n');
  });
});
