import type { ResolvedOptions } from './options.js';

/** The delay before an attempt after this many that failed, in milliseconds: spread at random, so that clients do not come back together. */
export function backoff({ retry: { minMs, maxMs } }: ResolvedOptions, attempts: number): number {
  return Math.min(maxMs, minMs * 2 ** attempts) * (0.5 + Math.random() / 2);
}
