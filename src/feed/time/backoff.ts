/** The bounds of a back-off, in milliseconds. */
interface BackoffBounds {
  /** The longest delay before the first retry. It doubles with each further one. */
  minMs: number;
  /** The longest delay before any retry. */
  maxMs: number;
}

/**
 * The delay before a retry: exponential back-off with full jitter, so that clients that failed together do not retry together
 * (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
 *
 * @param attempt how many retries there were before this one
 * @returns milliseconds, from 0 up to the bound
 */
export function backoff(attempt: number, { minMs, maxMs }: BackoffBounds): number {
  return Math.random() * Math.min(maxMs, minMs * 2 ** attempt);
}
