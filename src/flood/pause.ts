import { setTimeout as sleep } from 'node:timers/promises';

/** Waits for a time in milliseconds, or until the signal. */
export async function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  await sleep(ms, undefined, { signal }).catch(() => {});
}
