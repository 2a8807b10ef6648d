import { RateLimit } from '../time/rate-limit.js';
import type { ResolvedLimitOptions } from './limit.options.js';

const minuteMs = 60_000;

/** Counts what each client has open, and limits how many new connections a minute it opens. Only admitted connections are noted. */
export class ClientLimits {
  /** Whether there are limits. Without any, nothing is kept and every client is admitted. */
  readonly isLimited: boolean;
  private readonly most: number;
  private readonly rate: RateLimit;
  private readonly connections = new Map<string, number>();

  /** @param now the time in milliseconds; it never goes back */
  constructor(limits: Pick<ResolvedLimitOptions, 'maxConnectionsPerClient' | 'connectionRatePerClient'>, now?: () => number) {
    this.most = limits.maxConnectionsPerClient;
    this.rate = new RateLimit(limits.connectionRatePerClient, minuteMs, now);
    this.isLimited = this.most < Number.POSITIVE_INFINITY || this.rate.rate < Number.POSITIVE_INFINITY;
  }

  /** Entries: one for each client with open connections, and up to two for each that opened some lately. */
  get size(): number {
    return this.connections.size + this.rate.size;
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
    return this.rate.isExceeded(client) ? 'rate' : undefined;
  }

  /** Seconds after which the rate admits the client again, for `Retry-After`: whole ones, and one at least. */
  retryAfter(client: string): number {
    return this.rate.retryAfter(client);
  }

  /** Notes that an admitted client opens a connection. */
  open(client: string): void {
    if (this.most < Number.POSITIVE_INFINITY) this.connections.set(client, (this.connections.get(client) ?? 0) + 1);
    this.note(client);
  }

  /** Notes that an admitted client has a request answered at once. */
  note(client: string): void {
    this.rate.take(client);
  }

  /** Notes that a connection that was opened is closed. */
  close(client: string): void {
    const open = this.connections.get(client) ?? 0;
    if (open > 1) this.connections.set(client, open - 1);
    else this.connections.delete(client);
  }
}
