// Node's own also where a test has replaced the global ones: a time limit is real.
import { clearTimeout, setTimeout } from 'node:timers';
import * as v from 'valibot';
import { milliseconds } from '../feed/errors/option-rules.js';

/** How long a test waits. */
export interface TimeLimit {
  /** The longest that is waited, in milliseconds. Default: 5000. */
  timeoutMs?: number;
}

/** The rule of `TimeLimit`. */
export const timeLimitRules = { timeoutMs: v.optional(milliseconds(1), 5000) };

/** What `within()` resolves with when the time is over. */
export const overdue = Symbol('overdue');

/** Settles as the promise does, or resolves with `overdue`. */
export async function within<T>(promise: Promise<T>, ms: number): Promise<T | typeof overdue> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<typeof overdue>((resolve) => {
    timer = setTimeout(resolve, ms, overdue);
  });
  try {
    return await Promise.race([promise, limit]);
  } finally {
    clearTimeout(timer);
  }
}
