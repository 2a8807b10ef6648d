import { setTimeout as sleep } from 'node:timers/promises';

/** Waits until it holds, and no longer than so many milliseconds; resolves with whether it does. */
export async function until(holds, ms = 20_000) {
  const givesUp = performance.now() + ms;
  while (!(await holds())) {
    if (performance.now() > givesUp) return false;
    await sleep(50);
  }
  return true;
}
