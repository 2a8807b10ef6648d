import type { ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import type { Writable } from 'node:stream';
import { TLSSocket } from 'node:tls';
import { from, isObservable, type ObservableInput, type Observer, type Unsubscribable } from 'rxjs';
import type { Start } from '../broker/broker.js';
import { type FeedItem, PublishedMessage } from '../message/message.js';
import { Mark, type Replay, type ReplayItem, withoutPosition } from '../pubsub/replay.js';
import type { Follower } from '../pubsub/topic.js';
import type { EndReason } from '../stats/end-reason.js';
import { AsyncSource } from './async-source.js';
import type { Encoder } from './encoder.js';
import type { KeepAlive, KeptAlive } from './keep-alive.js';
import { SendQueue } from './send-queue.js';

/** Where a connection's bytes go once its head is out. */
export interface Outlet {
  /** The socket that was handed over, or the response where that could not be. */
  readonly stream: Writable;
  /** Whether the connection frames its chunks itself (RFC 9112 section 7.1), because HTTP's own code is out of the way. */
  readonly chunked: boolean;
}

/** Who keeps the connections, counts what they do, and knows the feeds. */
export interface ConnectionOwner {
  /** Unsent bytes that one connection may hold. */
  readonly bufferBytes: number;
  readonly pulse: KeepAlive;
  /** The number of this turn of the event loop. */
  turn(): number;
  follow(connection: Connection, feed: string, since: Start | undefined): Promise<Replay>;
  unfollow(connection: Connection, feed: string): void;
  onOpened(connection: Connection): void;
  onSent(bytes: number): void;
  /** It has been given more than its client takes at once; `bytes` are what it was given last. */
  onFull(connection: Connection, bytes: number): void;
  /** Its client has taken all. */
  onDrained(connection: Connection): void;
  onFailed(connection: Connection, error: unknown): void;
  onClosed(connection: Connection): void;
}

/** Whom a connection is for. */
export interface Holder {
  /** The claim `sub` of its token. */
  readonly subject?: string;
  /** When its token expires, in milliseconds since 1970. */
  readonly expiresAt?: number;
  /** Whom it counts for, where there are limits for each client. */
  readonly client?: string;
}

const connectionOf = Symbol('connection');

interface Attached extends Writable {
  [connectionOf]?: Connection;
}

// Shared by all connections, so that one costs no closure.
function onClose(this: Attached) {
  this[connectionOf]?.left();
}
function onDrain(this: Attached) {
  this[connectionOf]?.drained();
}
function onFinish(this: Attached) {
  this.destroy();
}
function ignore() {}

/**
 * One HTTP response held open: an observer of messages that writes them to its outlet under a byte bound.
 *
 * It first listens, to its feeds and its source, then gets its outlet: what comes until then is held, so that a source that fails at
 * once is answered with an ordinary error instead of a broken stream, and history goes out before what is live.
 */
export class Connection implements Observer<FeedItem>, Follower, KeptAlive {
  /** Why it ended; undefined while it is open. */
  reason: EndReason | undefined = undefined;
  private outlet: Outlet | undefined = undefined;
  private source: Unsubscribable | undefined = undefined;
  /** The encoder's last emission that came here. */
  private emission = 0;
  private held: SendQueue | undefined = new SendQueue(1);
  /** The newest message of each conflated feed that a slow client has not been sent. */
  private skipping: Map<string, PublishedMessage> | undefined = undefined;
  /** Feeds whose history is being read, because `follow()` was called. */
  private joins: Map<string, object> | undefined = undefined;
  /** When it was opened, in milliseconds since the process started. */
  private openedAt = 0;
  /** The beat of the last write. */
  private sentBeat = 0;
  /** The beat at which bytes last moved towards the client, and how many had by then. */
  private movedBeat = 0;
  private moved = 0;
  /** The turn of the event loop in which more than `bufferBytes` came to wait; -1 where less does. */
  private overTurn = -1;
  /** The beat at which it has had its time. */
  private lastBeat = Number.POSITIVE_INFINITY;

  constructor(
    private readonly owner: ConnectionOwner,
    /** Its number, counted from 1 since the process started. */
    readonly number: number,
    /** What it follows. */
    public feeds: readonly string[],
    private readonly encoder: Encoder,
    /** Whom it is for, as far as is known. */
    readonly holder: Holder,
  ) {}

  /** Bytes that wait for the client. */
  get bufferedBytes(): number {
    return this.outlet?.stream.writableLength ?? 0;
  }

  /** Whether a source that can wait should. */
  get isFull(): boolean {
    return this.held !== undefined || isFull(this.outlet as Outlet);
  }

  /** Whether its head is out. */
  get isOpen(): boolean {
    return this.outlet !== undefined;
  }

  /** Whether its socket was taken out of the HTTP stack. */
  get isHandedOver(): boolean {
    return this.outlet?.stream instanceof Socket;
  }

  /** How long it has been open, in milliseconds. */
  get durationMs(): number {
    return Math.round(performance.now()) - this.openedAt;
  }

  /** Whether its source, or a feed, has said anything yet. */
  get isReady(): boolean {
    return this.held !== undefined && (this.held.isComplete || this.held.failure !== undefined || this.held.hasArrived);
  }

  /** Subscribes the source. */
  subscribe(source: ObservableInput<FeedItem>): void {
    this.source =
      !isObservable(source) && Symbol.asyncIterator in source
        ? new AsyncSource(source, this)
        : from(source as ObservableInput<FeedItem>).subscribe(this);
    if (this.reason !== undefined) this.stopSource();
  }

  /** Takes what comes before all that is live. */
  replay(replay: Replay): void {
    this.held?.replay(replay);
  }

  /**
   * Gives the connection its outlet; what was held goes out, as fast as the client reads.
   *
   * @throws what the source failed with before the head was out
   */
  open(makeOutlet: () => Outlet): void {
    const held = this.held as SendQueue;
    if (held.failure) {
      this.stopSource();
      throw held.failure.error;
    }
    this.outlet = makeOutlet();
    const stream: Attached = this.outlet.stream;
    stream[connectionOf] = this;
    stream.on('close', onClose).on('error', ignore).on('drain', onDrain);
    this.begin();
    if (this.reason !== undefined) {
      this.finish(this.outlet, this.reason);
      return;
    }
    held.settle();
    held.release();
    this.drained();
  }

  /**
   * Follows one feed more.
   *
   * @param since where to begin: a position, `earliest`, or undefined for what is live and what the feed's rule replays. Messages from
   * before this call come without an id: the connection is further already on its other feeds
   * @throws what the broker fails with; the connection then goes on without the feed
   */
  async follow(feed: string, since?: Start): Promise<void> {
    if (this.reason !== undefined || this.feeds.includes(feed)) return;
    this.feeds = [...this.feeds, feed];
    const held = this.holdAll();
    const join = {};
    this.joins ??= new Map();
    this.joins.set(feed, join);
    try {
      const { items, covered } = await this.owner.follow(this, feed, since);
      // It may have been unfollowed meanwhile, and followed again.
      if (this.joins.get(feed) === join) held.replay({ items: items.flatMap(toNotice), covered });
    } catch (error) {
      this.unfollow(feed);
      throw error;
    } finally {
      if (this.joins.get(feed) === join) this.joins.delete(feed);
      held.release();
      this.drained();
    }
  }

  /**
   * Follows a feed no longer.
   *
   * @returns whether it did until now
   */
  unfollow(feed: string): boolean {
    if (!this.feeds.includes(feed)) return false;
    this.feeds = this.feeds.filter((other) => other !== feed);
    this.skipping?.delete(feed);
    this.joins?.delete(feed);
    this.owner.unfollow(this, feed);
    return true;
  }

  next(item: FeedItem): void {
    if (this.reason !== undefined) return;
    if (this.held) {
      this.held.push(item);
      this.boundHeld(this.held);
      return;
    }
    if (this.skipping) this.sendSkipped(this.skipping);
    const { stream } = this.outlet as Outlet;
    if (stream.writableLength > this.owner.bufferBytes && this.isSlow(stream)) this.end('slow');
    else this.send(item);
  }

  /** A message that a newer one of its feed replaces while the client cannot take more. */
  latest(message: PublishedMessage): void {
    if (this.reason !== undefined) return;
    if (this.held) {
      this.held.pushLatest(message);
      this.boundHeld(this.held);
      return;
    }
    if (!isFull(this.outlet as Outlet)) {
      if (this.skipping) this.sendSkipped(this.skipping);
      this.send(message);
      return;
    }
    this.skipping ??= new Map();
    this.skipping.delete(message.feed);
    this.skipping.set(message.feed, message);
  }

  error(error: unknown): void {
    if (this.reason !== undefined) return;
    if (this.held) {
      this.held.failure = { error };
      return;
    }
    this.owner.onFailed(this, error);
    this.end('error');
  }

  complete(): void {
    if (this.held) this.held.isComplete = true;
    else this.end('completed');
  }

  /**
   * Ends the connection: its source at once, its response in the way that fits the reason. A client that is slow has its
   * connection cut; one whose source failed gets all that was sent and then an incomplete body, so that it can tell.
   */
  end(reason: EndReason): void {
    if (this.reason !== undefined) return;
    this.reason = reason;
    this.stopSource();
    if (this.outlet) this.finish(this.outlet, reason);
  }

  /** Cuts the connection, whatever waits unsent. */
  destroy(): void {
    this.outlet?.stream.destroy();
  }

  /** The outlet is gone: because of `end()`, or because the client left. */
  left(): void {
    if (this.reason === undefined) this.end('client');
    this.owner.onClosed(this);
  }

  /** Looks after itself, at each beat of the pulse. */
  look({ beat, now, heartbeatBeats, stallBeats }: KeepAlive): void {
    if (!this.outlet) return;
    const { stream, chunked } = this.outlet;
    const waits = stream.writableLength > 0;
    const moved = waits ? movedBy(stream) : this.moved;
    if (!waits || moved !== this.moved) {
      this.moved = moved;
      this.movedBeat = beat;
    } else if (beat - this.movedBeat >= stallBeats) {
      this.end('stalled');
      stream.destroy(); // also where it has ended otherwise, and its client does not read the end
      return;
    }
    if (this.reason !== undefined) return;
    if (this.holder.expiresAt !== undefined && this.holder.expiresAt <= now) this.end('expired');
    else if (beat >= this.lastBeat) this.end('aged');
    else if (!waits && beat - this.sentBeat >= heartbeatBeats) {
      this.sentBeat = beat;
      stream.write(this.encoder.heartbeat(chunked));
    }
  }

  /** The outlet takes more. */
  drained(): void {
    this.overTurn = -1;
    this.owner.onDrained(this);
    if (this.held) this.sendHeld(this.held);
    else if (this.skipping) this.sendSkipped(this.skipping);
    if (!this.held && this.source instanceof AsyncSource) this.source.resume();
  }

  /** From now on holds all, what was skipped to included: it comes before what is replayed. */
  private holdAll(): SendQueue {
    this.held ??= new SendQueue(0);
    for (const message of this.skipping?.values() ?? []) this.held.push(message);
    this.skipping = undefined;
    this.held.hold();
    return this.held;
  }

  private boundHeld(held: SendQueue): void {
    if (this.outlet && held.bytes > this.owner.bufferBytes) this.end('slow');
  }

  /** What an application's clean-up throws must not reach whoever published, or keep the connection from its end. */
  private stopSource(): void {
    try {
      this.source?.unsubscribe();
    } catch (error) {
      this.owner.onFailed(this, error);
    }
  }

  private sendHeld(held: SendQueue): void {
    const outlet = this.outlet as Outlet;
    const { stream } = outlet;
    if (!held.isReleased) return;
    // Many small messages make one system call.
    if (stream instanceof Socket) stream.cork();
    while (this.reason === undefined && !held.isEmpty && !isFull(outlet)) {
      const item = held.shift();
      if (item instanceof Mark) this.sendMark(item, outlet);
      else this.send(item);
    }
    if (stream instanceof Socket) stream.uncork();
    if (this.reason !== undefined || !held.isEmpty) return;
    this.held = undefined;
    if (held.failure) this.error(held.failure.error);
    else if (held.isComplete) this.complete();
  }

  private sendMark({ position }: Mark, { stream, chunked }: Outlet): void {
    const frame = this.encoder.mark(position, chunked);
    if (frame !== undefined) stream.write(frame, 'latin1');
  }

  /** What was skipped to goes before anything else, so that positions never go back. */
  private sendSkipped(skipping: Map<string, PublishedMessage>): void {
    this.skipping = undefined;
    for (const message of skipping.values()) this.send(message);
  }

  private send(item: FeedItem): void {
    if (this.reason !== undefined) return;
    const { stream, chunked } = this.outlet as Outlet;
    const { encoder } = this;
    try {
      encoder.encode(item, this.emission);
    } catch (error) {
      this.error(error);
      return;
    }
    this.emission = encoder.emission;
    if (encoder.bytes === 0) return;
    const takesMore = stream.write(encoder.frame(chunked), encoder.encoding);
    const { owner } = this;
    this.sentBeat = owner.pulse.beat;
    owner.onSent(encoder.bytes);
    if (!takesMore) owner.onFull(this, encoder.bytes);
  }

  /**
   * Whether it is the client that keeps so many bytes waiting. A TCP socket gives the kernel what it takes at once. Elsewhere (TLS,
   * HTTP/2, a response that was not handed over) bytes leave at the end of a turn of the event loop: there a burst in one turn may be
   * longer, and only what still waits in a later one counts.
   */
  private isSlow(stream: Writable): boolean {
    const { owner } = this;
    if ((stream instanceof Socket && !(stream instanceof TLSSocket)) || stream.writableLength > owner.bufferBytes * longestBurst)
      return true;
    if (this.overTurn < 0) this.overTurn = owner.turn();
    return this.overTurn !== owner.turn();
  }

  private begin(): void {
    const { pulse } = this.owner;
    this.openedAt = Math.round(performance.now());
    this.sentBeat = pulse.beat;
    this.movedBeat = pulse.beat;
    this.lastBeat = pulse.ageBeat();
    this.owner.onOpened(this);
  }

  private finish({ stream, chunked }: Outlet, reason: EndReason): void {
    if (reason === 'slow' || reason === 'stalled' || (reason === 'error' && !this.isHandedOver)) {
      stream.destroy();
      return;
    }
    if (reason === 'drained') {
      const retry = this.encoder.retry(retryMs(), chunked);
      if (retry !== undefined) stream.write(retry, 'latin1');
    }
    stream.on('finish', onFinish);
    if (chunked && reason !== 'error') stream.end('0\r\n\r\n');
    else stream.end();
  }
}

/** How many times `bufferBytes` one turn of the event loop may bring, where bytes do not leave before its end. */
const longestBurst = 16;

/** The times after which clients of a server that shuts down come back, in milliseconds: not all at once. */
const [soonest, latest] = [500, 5000];

function retryMs(): number {
  return Math.round(soonest + Math.random() * (latest - soonest));
}

/** Bytes that have left for the client, HTTP's framing included; where that is not known, a number that changes with it. */
function movedBy(stream: Writable): number {
  const socket = stream instanceof Socket ? stream : (stream as Partial<ServerResponse>).socket;
  return (socket?.bytesWritten ?? 0) - stream.writableLength;
}

function isFull({ stream }: Outlet): boolean {
  return stream.writableLength >= stream.writableHighWaterMark;
}

/** What a connection is sent that has begun before. */
function toNotice(item: ReplayItem): ReplayItem[] {
  if (item instanceof Mark) return [];
  return [item instanceof PublishedMessage ? withoutPosition(item) : item];
}
