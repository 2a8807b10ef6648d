import { setTimeout as sleep } from 'node:timers/promises';

export { sleep };

/** Waits until it holds, and no longer than so many milliseconds; resolves with whether it does. */
export async function until(holds: () => boolean | Promise<boolean>, ms = 20_000): Promise<boolean> {
  const givesUp = performance.now() + ms;
  while (!(await holds())) {
    if (performance.now() > givesUp) return false;
    await sleep(50);
  }
  return true;
}

/** Begins something so many times in all, so many times a second; catches up where this process was late. */
export async function atRate(count: number, perSecond: number, begin: (n: number) => void): Promise<void> {
  const begunAt = performance.now();
  for (let n = 0; n < count; ) {
    const due = Math.min(count, Math.ceil(((performance.now() - begunAt) / 1000) * perSecond));
    for (; n < due; n += 1) begin(n);
    if (n < count) await sleep(5);
  }
}
