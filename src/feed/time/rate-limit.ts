/** How many keys each generation stores: some 10 MB at the most. */
const mostKeys = 65_536;

/**
 * Limits how often each of many keys comes in a period, by a token bucket that holds a period's worth.
 *
 * Only what is taken is noted: a rejected key costs a look-up, however often it comes. A bucket that is not full is stored as the time when
 * it will be full again, as in the generic cell rate algorithm (ITU-T I.371). No bucket takes longer than a period for that: buckets are
 * kept in two generations, the older of which is dropped as a whole every period, without a timer or a search.
 */
export class RateLimit {
  private buckets = new Map<string, number>();
  private olderBuckets = new Map<string, number>();
  /** When the generations change, in ticks. */
  private changesAt = 0;

  /**
   * @param rate how often a key may come in a period; Infinity for no limit
   * @param periodMs in milliseconds
   * @param now the time in milliseconds; it never goes back
   */
  constructor(
    readonly rate: number,
    private readonly periodMs: number,
    private readonly now: () => number = () => performance.now(),
  ) {}

  /** Entries: up to two for each key that came lately. */
  get size(): number {
    return this.buckets.size + this.olderBuckets.size;
  }

  /** Whether a key has come so often that it may not come that many times more. */
  isExceeded(key: string, times = 1): boolean {
    return this.rate < Number.POSITIVE_INFINITY && this.lacks(key, times) > 0;
  }

  /** Seconds after which a key may come again, for `Retry-After` (RFC 9110 section 10.2.3): whole ones, and one at least. */
  retryAfter(key: string, times = 1): number {
    return this.rate < Number.POSITIVE_INFINITY ? Math.max(1, Math.ceil(this.lacks(key, times) / this.rate / 1000)) : 1;
  }

  /** Notes that a key comes that many times, which it may. */
  take(key: string, times = 1): void {
    if (this.rate === Number.POSITIVE_INFINITY) return;
    const now = this.ticks;
    const fullAt = this.fullAt(key, now) + this.periodMs * times;
    // A client with that many addresses is not stopped by a limit for each: dropping some early is better than growing.
    if (now >= this.changesAt || this.buckets.size >= mostKeys) {
      this.olderBuckets = this.buckets;
      this.buckets = new Map();
      this.changesAt = now + this.periodMs * this.rate;
    }
    this.buckets.set(key, fullAt);
  }

  /** The time in milliseconds, times the rate: each time takes a period's milliseconds of these ticks at any rate, so that all are whole numbers. */
  private get ticks(): number {
    return Math.floor(this.now()) * this.rate;
  }

  /** Ticks until the key's bucket has enough for so many times more; 0 or less where it has. */
  private lacks(key: string, times: number): number {
    const now = this.ticks;
    return this.fullAt(key, now) + this.periodMs * times - (now + this.periodMs * this.rate);
  }

  /** When the key's bucket is full, which may be now. */
  private fullAt(key: string, now: number): number {
    return Math.max(now, this.buckets.get(key) ?? this.olderBuckets.get(key) ?? now);
  }
}
