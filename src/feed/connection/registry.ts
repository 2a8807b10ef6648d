import { setTimeout as sleep } from 'node:timers/promises';
import type { Admission, Client } from '../limits/admission.js';
import type { Router } from '../pubsub/router.js';
import type { FeedCount, FeedCounts } from '../stats/counts.js';
import { type EndReason, endReasons } from '../stats/end-reason.js';
import { Connection, type ConnectionContext } from './connection.js';
import { parseConnectionId } from './connection-id.js';
import { type ConnectionFilter, type ConnectionInfo, describe, EndedConnections, matches } from './connection-list.js';
import { type ConnectionLog, type EndLogger, logEnd } from './connection-log.js';
import type { Encoder } from './encoder.js';
import type { EndNotice } from './end-notice.js';
import { FeedEvents } from './feed-events.js';
import { KeepAlive, type KeepAliveOptions } from './keep-alive.js';
import { firstPage } from './list-page.js';
import { Poll } from './poll.js';
import { TotalBufferLimit } from './total-buffer-limit.js';

/** A drain ends no more than one connection in so many milliseconds, where there is time. */
const shortestGapMs = 1;
/** How often a drain ends those that are due, in milliseconds. */
const drainStepMs = 5;

/** Operators want these ends now, whether clients read or not: within two of these times, in milliseconds. */
const forced: ReadonlySet<EndReason> = new Set<EndReason>(['disconnected', 'revoked']);
const forceMs = 400;

/** What connections may hold, and how long. */
interface RegistryOptions extends KeepAliveOptions {
  /** The name of this node. */
  readonly nodeName: string;
  /** Whose ends are logged. */
  readonly logConnections: ConnectionLog;
  /** Identifies this process. */
  readonly process: string;
  /** Unsent bytes of one connection, in its transport and in its send queue, each. */
  readonly bufferBytes: number;
  /** Unsent bytes of all connections together. */
  readonly totalBufferBytes: number;
}

/** Hears of connections whose feeds have changed. */
export interface ConnectionTracker {
  /** @param hasEnded whether it follows nothing any more */
  onChanged(connection: Connection, hasEnded: boolean): void;
}

/** All connections of the process, and what they have done. */
export class Registry implements ConnectionContext {
  readonly nodeName: string;
  private readonly logConnections: ConnectionLog;
  readonly bufferBytes: number;
  readonly totalBufferLimit: TotalBufferLimit;
  readonly keepAlive: KeepAlive;
  /** In the order of their numbers. */
  private readonly connections = new Set<Connection>();
  private readonly lastEnded = new EndedConnections();
  readonly events: FeedEvents;
  /** Told of connections that open, end, or follow other feeds. */
  tracker: ConnectionTracker | undefined = undefined;
  private readonly ended = Object.fromEntries(endReasons.map((reason) => [reason, 0])) as Record<EndReason, number>;
  private made = 0;
  private polls = 0;
  private peak = 0;
  /** Connections that were ever opened. */
  opened = 0;
  private messages = 0;
  private bytes = 0;

  constructor(
    options: RegistryOptions,
    readonly router: Router,
    private readonly admission: Admission,
    readonly onFailed: ConnectionContext['onFailed'],
    private readonly logger: EndLogger,
  ) {
    this.nodeName = options.nodeName;
    this.logConnections = options.logConnections;
    this.events = new FeedEvents(options);
    this.bufferBytes = options.bufferBytes;
    this.totalBufferLimit = new TotalBufferLimit(options.totalBufferBytes);
    this.keepAlive = new KeepAlive(this.connections, options);
  }

  /** Connections that are there, those included whose head is not sent yet. */
  get size(): number {
    return this.connections.size;
  }

  /** Those of them that have taken their sockets for themselves: a poll's is the server's again once it is answered. */
  get streams(): number {
    return this.size - this.polls;
  }

  /**
   * Checks that feeds take one more subscriber each.
   *
   * @throws FeedException FEED_UNAVAILABLE (503), which counts as a rejected request
   */
  checkRoom(feeds: readonly string[]): void {
    try {
      this.router.checkRoom(feeds);
    } catch (error) {
      this.admission.count('feed');
      throw error;
    }
  }

  /** Makes a connection, which counts from now on. `Connection.open()` opens it, `discard()` gives it up. */
  make(feeds: readonly string[], encoder: Encoder, client: Client): Connection {
    this.made += 1;
    return this.add(new Connection(this, this.made, feeds, encoder, client));
  }

  /** Makes a poll, which counts from now on. `Poll.begin()` has it wait, `discard()` gives it up. */
  makePoll(feeds: readonly string[], client: Client): Poll {
    this.made += 1;
    this.polls += 1;
    return this.add(new Poll(this, this.made, feeds, client));
  }

  /** Gives up a connection that was never opened. */
  discard(connection: Connection): void {
    connection.end('client'); // its source ends; there is nothing to send it on
    if (this.connections.delete(connection)) this.remove(connection);
  }

  /** Ends connections, and tells their clients why; returns how many. */
  endAll(filter: ConnectionFilter, reason: EndReason, notice?: EndNotice): number {
    const isForced = forced.has(reason);
    const ended: Connection[] = [];
    for (const connection of this.find(filter)) {
      // One that was ended before, and whose client does not read, is still there.
      if (connection.reason !== undefined && !isForced) continue;
      if (connection.reason !== undefined && connection.isOpen && reason === 'revoked') connection.destroy();
      connection.end(reason, notice);
      ended.push(connection);
    }
    if (isForced) void this.force(ended);
    return ended.length;
  }

  /**
   * Gives clients a short time to read what waits, another one to read why it was given up, and then closes what is left. One that is being
   * opened is left alone: it is answered once it is ready.
   */
  private async force(ended: readonly Connection[]): Promise<void> {
    for (const step of ['finish', 'destroy'] as const) {
      await sleep(forceMs, undefined, { ref: false });
      for (const connection of ended) if (connection.isOpen && this.connections.has(connection)) connection[step]();
    }
  }

  /**
   * Describes connections.
   *
   * @param after behind which connection the list begins, by the names of nodes and the numbers of their connections
   */
  list(filter: ConnectionFilter, { isEnded, limit, after }: { isEnded: boolean; limit: number; after?: string | undefined }) {
    const { page, hasMore } = firstPage(isEnded ? this.lastEnded.newest(filter) : this.open(filter, after), limit);
    return { connections: page, hasMore };
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
    this.endAll({}, 'drained');
  }

  /** Cuts all connections, whatever waits. */
  destroy(): void {
    for (const connection of this.connections) connection.destroy();
  }

  counts(): FeedCounts {
    let bufferedBytes = 0;
    let handedOver = 0;
    for (const connection of this.connections) {
      bufferedBytes += connection.bufferedBytes;
      if (connection.isHandedOver) handedOver += 1;
    }
    const { rejected, rejectedBy, maxConnections } = this.admission;
    return {
      open: this.size,
      peak: this.peak,
      opened: this.opened,
      rejected,
      rejectedBy,
      closed: { ...this.ended },
      feeds: this.router.size,
      handedOver,
      messages: this.messages,
      bytes: this.bytes,
      bufferedBytes,
      limit: Number.isFinite(maxConnections) ? maxConnections : null,
    };
  }

  count(id: string): FeedCount {
    const counted: FeedCount = { id, open: 0, bufferedBytes: 0 };
    for (const subscriber of this.router.topic(id) ?? []) {
      if (!(subscriber instanceof Connection) || !subscriber.isOpen) continue;
      counted.open += 1;
      counted.bufferedBytes += subscriber.bufferedBytes;
    }
    return counted;
  }

  onOpened(connection: Connection): void {
    this.opened += 1;
    this.peak = Math.max(this.peak, this.connections.size);
    this.tracker?.onChanged(connection, false);
    this.events.opened(connection.number, connection.feeds, connection.client.subject);
  }

  /** A connection follows other feeds than before. */
  onFollowed(connection: Connection): void {
    if (connection.isOpen && connection.reason === undefined) this.tracker?.onChanged(connection, false);
  }

  onSent(bytes: number): void {
    this.messages += 1;
    this.bytes += bytes;
  }

  onClosed(connection: Connection): void {
    if (!this.connections.delete(connection)) return;
    const { number, feeds, client, reason = 'client', durationMs } = connection;
    this.ended[reason] += 1;
    const info = describe(connection);
    this.lastEnded.add(info);
    logEnd(this.logConnections, info, this.logger);
    connection.measures?.noteEnd(reason, durationMs);
    this.tracker?.onChanged(connection, true);
    this.events.closed(number, feeds, client.subject, reason, durationMs);
    this.remove(connection);
  }

  /** A feed got its first subscriber, or lost its last. */
  onPresence(feed: string, hasSubscribers: boolean): void {
    this.events.followed(feed, hasSubscribers);
  }

  /** Those that are meant: of one feed, without a look at all others. */
  private *find(filter: ConnectionFilter): IterableIterator<Connection> {
    const { feed, node } = filter;
    if (node !== undefined && node !== this.nodeName) return;
    for (const connection of feed === undefined ? this.connections : [...(this.router.topic(feed) ?? [])]) {
      if (connection instanceof Connection && matches(connection, filter)) yield connection;
    }
  }

  private *open(filter: ConnectionFilter, after = ''): IterableIterator<ConnectionInfo> {
    const { node = '', number = 0 } = parseConnectionId(after) ?? {};
    if (node > this.nodeName) return;
    const from = node === this.nodeName ? number : 0;
    const found = [...this.find(filter)].filter(({ isOpen, number }) => isOpen && number > from);
    for (const connection of found.sort((a, b) => a.number - b.number)) yield describe(connection);
  }

  private add<Kind extends Connection>(connection: Kind): Kind {
    const { key } = connection.client;
    this.connections.add(connection);
    connection.measures = this.router.measures.of(connection.feeds[0]);
    if (key !== undefined) this.admission.clients.open(key);
    this.keepAlive.start();
    return connection;
  }

  private remove(connection: Connection): void {
    if (connection instanceof Poll) this.polls -= 1;
    this.totalBufferLimit.delete(connection);
    const { key } = connection.client;
    if (key !== undefined) this.admission.clients.close(key);
    for (const feed of connection.feeds) this.router.unsubscribe(connection, feed);
  }
}
