/** The longest `Retry-After` that is honoured, in milliseconds: a mistaken one must not stop the webhook for good. */
const maxRetryAfterMs = 3_600_000;

/**
 * The delay that a `Retry-After` header asks for: seconds or a date (RFC 9110, section 10.2.3).
 *
 * @returns milliseconds, at most an hour; 0 for a date in the past, and for an invalid value
 */
export function retryAfter(header = '', now = Date.now()): number {
  const ms = /^\d+$/.test(header) ? Number(header) * 1000 : Date.parse(header) - now;
  return Math.min(Math.max(ms || 0, 0), maxRetryAfterMs);
}
