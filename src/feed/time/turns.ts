/** The longest `Retry-After`, before it is jittered, in milliseconds. */
const mostRetryMs = 15_000;

/** Tells those that are turned away when to come back: each has its turn, at the pace at which they can be served. */
export class Turns {
  /** The last turn that was given, by `performance.now()`. */
  private lastAt = 0;

  /**
   * Seconds for the `Retry-After` of the next one: the more there are, the later, and not all at once.
   *
   * @param gapMs the time between two turns
   */
  retryAfter(gapMs: number): number {
    const now = performance.now();
    this.lastAt = Math.min(Math.max(now, this.lastAt) + gapMs, now + mostRetryMs);
    return Math.ceil(((this.lastAt - now) * (0.5 + Math.random())) / 1000);
  }
}
