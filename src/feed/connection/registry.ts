import { type Observable, Subject } from 'rxjs';
import type { Start } from '../broker/broker.js';
import type { FeedCount, FeedCounts } from '../feed.counts.js';
import type { FeedEvent } from '../feed.events.js';
import type { Replay } from '../routing/replay.js';
import type { Router } from '../routing/router.js';
import { type CloseReason, closeReasons } from './close-reason.js';
import { Connection, type ConnectionOwner } from './connection.js';
import type { Encoder } from './encoder.js';
import { Expiry } from './expiry.js';

/** Whom a connection is for. */
export interface Holder {
  /** The claim `sub` of its token. */
  readonly subject?: string;
  /** When its token expires, in milliseconds since 1970. */
  readonly expiresAt?: number;
}

/** All connections of the process and what they have done: the one list of who is connected. */
export class Registry implements ConnectionOwner {
  readonly events$: Observable<FeedEvent>;
  private readonly connections = new Set<Connection>();
  private readonly expiry = new Expiry();
  private readonly closedBy = Object.fromEntries(closeReasons.map((reason) => [reason, 0])) as Record<CloseReason, number>;
  private readonly events = new Subject<FeedEvent>();
  private made = 0;
  private peak = 0;
  private openedEver = 0;
  private messages = 0;
  private bytes = 0;

  constructor(
    readonly bufferBytes: number,
    private readonly router: Router,
    readonly onFailed: (connection: Connection, error: unknown) => void,
  ) {
    this.events$ = this.events.asObservable();
  }

  /** Connections that are there, the ones whose head is not out yet included. */
  get open(): number {
    return this.connections.size;
  }

  get opened(): number {
    return this.openedEver;
  }

  /** Makes a connection, which counts from now on; it is opened by its own `open()`, or given up with `drop()`. */
  make(feeds: readonly string[], encoder: Encoder, { subject, expiresAt }: Holder): Connection {
    this.made += 1;
    const connection = new Connection(this, this.made, feeds, encoder, subject, expiresAt);
    this.connections.add(connection);
    return connection;
  }

  /** Gives up a connection that was never opened. */
  drop(connection: Connection): void {
    connection.end('client');
    this.connections.delete(connection);
    this.leave(connection);
  }

  /** Ends the connections that follow a feed, or all there are; returns how many. */
  end(feed: string | undefined, reason: CloseReason): number {
    let ended = 0;
    for (const connection of this.connections) {
      if (connection.reason !== undefined || (feed !== undefined && !connection.feeds.includes(feed))) continue;
      connection.end(reason);
      ended += 1;
    }
    return ended;
  }

  /** Cuts all connections, whatever waits unsent. */
  destroy(): void {
    for (const connection of this.connections) connection.destroy();
  }

  counts(): Omit<FeedCounts, 'rejected' | 'limit'> {
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

  onOpened(connection: Connection): void {
    this.openedEver += 1;
    this.peak = Math.max(this.peak, this.connections.size);
    this.expiry.add(connection);
    if (!this.events.observed) return;
    const { number, feeds, subject } = connection;
    this.events.next({ type: 'opened', time: Date.now(), connection: number, feeds, subject });
  }

  onSent(bytes: number): void {
    this.messages += 1;
    this.bytes += bytes;
  }

  onClosed(connection: Connection): void {
    if (!this.connections.delete(connection)) return;
    const { number, feeds, subject, reason = 'client', durationMs } = connection;
    this.closedBy[reason] += 1;
    this.expiry.delete(connection);
    if (this.events.observed) {
      this.events.next({ type: 'closed', time: Date.now(), connection: number, feeds, subject, reason, durationMs });
    }
    this.leave(connection);
  }

  /** A feed got its first follower, or lost its last. */
  onPresence(feed: string, isFollowed: boolean): void {
    if (this.events.observed) this.events.next({ type: isFollowed ? 'followed' : 'unfollowed', time: Date.now(), feed });
  }

  private leave(connection: Connection): void {
    for (const feed of connection.feeds) this.router.unfollow(connection, feed);
  }
}
