import { setTimeout as sleep } from 'node:timers/promises';
import { type Observable, Subject } from 'rxjs';
import type { Start } from '../broker/broker.js';
import type { ClientLimits } from '../limits/client-limits.js';
import type { Replay } from '../pubsub/replay.js';
import type { Router } from '../pubsub/router.js';
import type { FeedCount, FeedCounts } from '../stats/counts.js';
import { type EndReason, endReasons } from '../stats/end-reason.js';
import type { FeedEvent } from '../stats/events.js';
import { BufferLimit } from './buffer-limit.js';
import { Connection, type ConnectionOwner, type Holder } from './connection.js';
import type { Encoder } from './encoder.js';
import { KeepAlive, type KeepAliveOptions } from './keep-alive.js';

/** Where there is time, a drain ends no more than one connection in so many milliseconds. */
const shortestGapMs = 1;
/** How often a drain ends those that are due, in milliseconds. */
const drainStepMs = 5;

/** What connections may hold, and how long. */
export interface RegistryOptions extends KeepAliveOptions {
  /** Unsent bytes of one connection. */
  readonly bufferBytes: number;
  /** Unsent bytes of all connections together. */
  readonly totalBufferBytes: number;
}

/** All connections of the process and what they have done: the one list of who is connected. */
export class Registry implements ConnectionOwner {
  readonly events$: Observable<FeedEvent>;
  private readonly connections = new Set<Connection>();
  readonly bufferBytes: number;
  readonly pulse: KeepAlive;
  private readonly crowding: BufferLimit;
  private readonly closedBy = Object.fromEntries(endReasons.map((reason) => [reason, 0])) as Record<EndReason, number>;
  private readonly events = new Subject<FeedEvent>();
  private turns = 0;
  private isCountingTurns = false;
  private made = 0;
  private peak = 0;
  private openedEver = 0;
  private messages = 0;
  private bytes = 0;

  constructor(
    options: RegistryOptions,
    private readonly router: Router,
    private readonly limits: ClientLimits,
    readonly onFailed: (connection: Connection, error: unknown) => void,
  ) {
    this.events$ = this.events.asObservable();
    this.bufferBytes = options.bufferBytes;
    this.pulse = new KeepAlive(this.connections, options);
    this.crowding = new BufferLimit(options.totalBufferBytes);
  }

  /** Connections that are there, the ones whose head is not out yet included. */
  get open(): number {
    return this.connections.size;
  }

  get opened(): number {
    return this.openedEver;
  }

  /** Makes a connection, which counts from now on; it is opened by its own `open()`, or given up with `drop()`. */
  make(feeds: readonly string[], encoder: Encoder, holder: Holder): Connection {
    this.made += 1;
    const connection = new Connection(this, this.made, feeds, encoder, holder);
    this.connections.add(connection);
    if (holder.client !== undefined) this.limits.open(holder.client);
    this.pulse.start();
    return connection;
  }

  /** Gives up a connection that was never opened. */
  drop(connection: Connection): void {
    connection.end('client');
    this.connections.delete(connection);
    this.leave(connection);
  }

  /** Ends the connections that follow a feed, or all there are; returns how many. */
  end(feed: string | undefined, reason: EndReason): number {
    let ended = 0;
    for (const connection of this.connections) {
      if (connection.reason !== undefined || (feed !== undefined && !connection.feeds.includes(feed))) continue;
      connection.end(reason);
      ended += 1;
    }
    return ended;
  }

  /**
   * Ends all connections as `drained`, evenly spread over a time.
   *
   * @param withinMs the longest that it takes; a few connections end sooner
   */
  async drain(withinMs: number): Promise<void> {
    const all = [...this.connections];
    const lasts = Math.min(withinMs, all.length * shortestGapMs);
    const begun = performance.now();
    for (let ended = 0; ended < all.length; ) {
      const due = lasts > 0 ? Math.ceil(((performance.now() - begun) / lasts) * all.length) : all.length;
      for (; ended < Math.min(due, all.length); ended += 1) all[ended]?.end('drained');
      if (ended < all.length) await sleep(drainStepMs);
    }
    this.end(undefined, 'drained');
  }

  /** Cuts all connections, whatever waits unsent. */
  destroy(): void {
    for (const connection of this.connections) connection.destroy();
  }

  counts(): Omit<FeedCounts, 'rejected' | 'rejectedBy' | 'limit'> {
    let bufferedBytes = 0;
    let handedOver = 0;
    for (const connection of this.connections) {
      bufferedBytes += connection.bufferedBytes;
      if (connection.isHandedOver) handedOver += 1;
    }
    return {
      open: this.open,
      peak: this.peak,
      opened: this.openedEver,
      closed: { ...this.closedBy },
      feeds: this.router.size,
      handedOver,
      messages: this.messages,
      bytes: this.bytes,
      bufferedBytes,
    };
  }

  count(id: string): FeedCount {
    const counted: FeedCount = { id, open: 0, bufferedBytes: 0 };
    for (const follower of this.router.topic(id) ?? []) {
      if (!(follower instanceof Connection) || !follower.isOpen) continue;
      counted.open += 1;
      counted.bufferedBytes += follower.bufferedBytes;
    }
    return counted;
  }

  follow(connection: Connection, feed: string, since: Start | undefined): Promise<Replay> {
    return this.router.follow(connection, [feed], since);
  }

  unfollow(connection: Connection, feed: string): void {
    this.router.unfollow(connection, feed);
  }

  /** Counts only the turns in which, and behind which, somebody asks. */
  turn(): number {
    if (!this.isCountingTurns) {
      this.isCountingTurns = true;
      setImmediate(() => {
        this.isCountingTurns = false;
        this.turns += 1;
      }).unref();
    }
    return this.turns;
  }

  onOpened(connection: Connection): void {
    this.openedEver += 1;
    this.peak = Math.max(this.peak, this.connections.size);
    if (!this.events.observed) return;
    const { number, feeds, holder } = connection;
    this.events.next({ type: 'opened', time: Date.now(), connection: number, feeds, subject: holder.subject });
  }

  onSent(bytes: number): void {
    this.messages += 1;
    this.bytes += bytes;
  }

  onFull(connection: Connection, bytes: number): void {
    this.crowding.add(connection, bytes);
  }

  onDrained(connection: Connection): void {
    this.crowding.delete(connection);
  }

  onClosed(connection: Connection): void {
    if (!this.connections.delete(connection)) return;
    const { number, feeds, holder, reason = 'client', durationMs } = connection;
    this.closedBy[reason] += 1;
    this.crowding.delete(connection);
    if (this.events.observed) {
      const { subject } = holder;
      this.events.next({ type: 'closed', time: Date.now(), connection: number, feeds, subject, reason, durationMs });
    }
    this.leave(connection);
  }

  /** A feed got its first follower, or lost its last. */
  onPresence(feed: string, isFollowed: boolean): void {
    if (this.events.observed) this.events.next({ type: isFollowed ? 'followed' : 'unfollowed', time: Date.now(), feed });
  }

  private leave(connection: Connection): void {
    const { client } = connection.holder;
    if (client !== undefined) this.limits.close(client);
    for (const feed of connection.feeds) this.router.unfollow(connection, feed);
  }
}
