/** The longest that a target's `Retry-After` is heeded, in milliseconds: a mistaken one must not silence the webhook for good. */
const longestRetryAfterMs = 3_600_000;

/**
 * How long to wait before a retry: exponential backoff with full jitter, so that senders that failed together do not return
 * together (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
 *
 * @param retry counted from 0
 * @param firstMs the most before the first retry, in milliseconds
 * @param mostMs the most before any, in milliseconds
 */
export function backoff(retry: number, firstMs: number, mostMs: number): number {
  return Math.random() * Math.min(mostMs, firstMs * 2 ** retry);
}

/**
 * What a `Retry-After` header asks for: seconds or a date (RFC 9110, section 10.2.3).
 *
 * @returns milliseconds, at most an hour; 0 for a date that is past, and for what is neither
 */
export function retryAfter(header = '', now = Date.now()): number {
  const ms = /^\d+$/.test(header) ? Number(header) * 1000 : Date.parse(header) - now;
  return Math.min(Math.max(ms || 0, 0), longestRetryAfterMs);
}
