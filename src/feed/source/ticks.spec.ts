import { spawnSync } from 'node:child_process';
import { firstValueFrom, take, toArray } from 'rxjs';
import { ticks } from './ticks.js';

/** Runs a script that imports the built `ticks`, in a process of its own that knows its timers. */
function script(body: string): string {
  const code = `import { ticks } from './dist/feed/source/ticks.js';
    import { createHook } from 'node:async_hooks';
    import { firstValueFrom } from 'rxjs';
    const timers = new Set();
    const init = (id, type) => type === 'Timeout' && timers.add(id);
    createHook({ init, destroy: (id) => timers.delete(id) }).enable();
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
    // The order of timers is what a busy machine leaves as it is.
    let isDue = 5 * period <= 11;
    setTimeout(
      () => {
        isDue = true;
      },
      5 * period - 11,
    );
    await firstValueFrom(ticks(period).pipe(take(5), toArray()));
    expect(isDue).toBe(true);
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
      console.log(timers.size);
      for (const subscription of subscriptions) subscription.unsubscribe();`);
    expect(printed).toBe('1\n');
  });

  it('keep no timer when nobody listens, and start again', () => {
    const printed = script(`const source = ticks(5);
      const alive = setInterval(() => {}, 1000);
      for (let n = 0; n < 3; n += 1) {
        await firstValueFrom(source);
        while (timers.size > 1) await new Promise(setImmediate);
        console.log('none');
      }
      clearInterval(alive);`);
    expect(printed).toBe('none\nnone\nnone\n');
  });

  it('keep no process alive, however long their period', () => {
    script('ticks(3_600_000).subscribe(() => {}).unsubscribe();');
  });
});
