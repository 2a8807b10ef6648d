import type { ResolvedLimitOptions } from './limit.options.js';

const minuteMs = 60_000;

/** How many clients of the last minute each generation stores: some 10 MB at the most. */
const mostClients = 65_536;

/**
 * Counts what each client has open, and limits how many new connections a minute it opens, by a token bucket that holds a minute's worth.
 *
 * Only admitted connections are noted: a rejected client costs a look-up, however often it comes. A bucket that is not full is stored as
 * the time when it will be full again, as in the generic cell rate algorithm (ITU-T I.371). No bucket takes longer than a minute for
 * that: buckets are kept in two generations, the older of which is dropped as a whole every minute, without a timer or a search.
 */
export class ClientLimits {
  /** Whether there are limits. Without any, nothing is kept and every client is admitted. */
  readonly isLimited: boolean;
  private readonly most: number;
  private readonly rate: number;
  private readonly connections = new Map<string, number>();
  private buckets = new Map<string, number>();
  private olderBuckets = new Map<string, number>();
  /** When the generations change, in ticks. */
  private changesAt = 0;

  /** @param now the time in milliseconds; it never goes back */
  constructor(
    limits: Pick<ResolvedLimitOptions, 'maxConnectionsPerClient' | 'connectionRatePerClient'>,
    private readonly now: () => number = () => performance.now(),
  ) {
    this.most = limits.maxConnectionsPerClient;
    this.rate = limits.connectionRatePerClient;
    this.isLimited = this.most < Number.POSITIVE_INFINITY || this.rate < Number.POSITIVE_INFINITY;
  }

  /** Entries: one for each client with open connections, and up to two for each that opened some lately. */
  get size(): number {
    return this.connections.size + this.buckets.size + this.olderBuckets.size;
  }

  /**
   * Checks whether a client may open a connection.
   *
   * @param stays whether it is one that stays open; a request that is answered at once counts in the rate alone
   * @returns the limit that forbids it: `client` where it has as many open as it may, `rate` where it has opened too many lately;
   * undefined where it may
   */
  check(client: string, stays = true): 'client' | 'rate' | undefined {
    if (stays && this.most < Number.POSITIVE_INFINITY && (this.connections.get(client) ?? 0) >= this.most) return 'client';
    if (this.rate < Number.POSITIVE_INFINITY && this.lacks(client) > 0) return 'rate';
    return undefined;
  }

  /** Seconds after which the rate admits the client again, for `Retry-After` (RFC 9110 section 10.2.3): whole ones, and one at least. */
  retryAfter(client: string): number {
    return this.rate < Number.POSITIVE_INFINITY ? Math.max(1, Math.ceil(this.lacks(client) / this.rate / 1000)) : 1;
  }

  /** Notes that an admitted client opens a connection. */
  open(client: string): void {
    if (this.most < Number.POSITIVE_INFINITY) this.connections.set(client, (this.connections.get(client) ?? 0) + 1);
    this.note(client);
  }

  /** Notes that an admitted client has a request answered at once. */
  note(client: string): void {
    if (this.rate < Number.POSITIVE_INFINITY) this.take(client);
  }

  /** Notes that a connection that was opened is closed. */
  close(client: string): void {
    const open = this.connections.get(client) ?? 0;
    if (open > 1) this.connections.set(client, open - 1);
    else this.connections.delete(client);
  }

  /** The time in milliseconds, times the rate: a connection takes 60,000 of these ticks at any rate, so that all are whole numbers. */
  private get ticks(): number {
    return Math.floor(this.now()) * this.rate;
  }

  /** Ticks until the client's bucket has enough for one connection; 0 or less where it has. */
  private lacks(client: string): number {
    const now = this.ticks;
    return this.fullAt(client, now) + minuteMs - (now + minuteMs * this.rate);
  }

  /** When the client's bucket is full, which may be now. */
  private fullAt(client: string, now: number): number {
    return Math.max(now, this.buckets.get(client) ?? this.olderBuckets.get(client) ?? now);
  }

  private take(client: string): void {
    const now = this.ticks;
    const fullAt = this.fullAt(client, now) + minuteMs;
    // A client with that many addresses is not stopped by a limit for each: dropping some early is better than growing.
    if (now >= this.changesAt || this.buckets.size >= mostClients) {
      this.olderBuckets = this.buckets;
      this.buckets = new Map();
      this.changesAt = now + minuteMs * this.rate;
    }
    this.buckets.set(client, fullAt);
  }
}
