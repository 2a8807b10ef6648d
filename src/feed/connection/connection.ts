import { NEVER, type ObservableInput, type Observer } from 'rxjs';
import { toFeedException } from '../errors/to-feed-exception.js';
import type { Client } from '../limits/admission.js';
import { checkFeedId } from '../message/feed-id.js';
import type { FeedItem, StoredMessage, TextMessage } from '../message/message.js';
import { parseSince, type Start } from '../message/position.js';
import type { Replay } from '../pubsub/replay.js';
import type { Router } from '../pubsub/router.js';
import type { Subscriber } from '../pubsub/topic.js';
import type { EndReason } from '../stats/end-reason.js';
import type { Transport, TransportListener } from '../transport/transport.js';
import { AbortedSource, type SourceSubscription, subscribeTo } from './async-source.js';
import { connectionId } from './connection-id.js';
import type { Encoder } from './encoder.js';
import type { EndNotice } from './end-notice.js';
import type { FeedConnection } from './feed-connection.js';
import { InterceptedSource } from './intercepted-source.js';
import type { KeptAlive } from './keep-alive.js';
import { Sender, type SenderContext } from './sender.js';

/** What all connections share. */
export interface ConnectionContext extends SenderContext {
  readonly router: Router;
  /** The name of this node. */
  readonly nodeName: string;
  onOpened(connection: Connection): void;
  onFailed(connection: Connection, error: unknown): void;
  onFollowed(connection: Connection): void;
  onClosed(connection: Connection): void;
}

/** Reasons for which what waits for the client is dropped; for all others it is sent before the response ends. */
const discarding: ReadonlySet<EndReason> = new Set<EndReason>(['client', 'slow', 'stalled', 'expired', 'revoked']);

/**
 * One HTTP response held open: an observer of messages that writes frames to its transport under a byte bound.
 *
 * It first subscribes to its feeds and its source, then gets its transport: what comes until then waits in the send queue, so that a
 * source that fails at once is answered with an ordinary error instead of a broken stream, and history is sent before live messages.
 */
export class Connection
  extends Sender<ConnectionContext>
  implements FeedConnection, Observer<FeedItem>, Subscriber, TransportListener, KeptAlive
{
  progressBeat = 0;
  progressBytes = 0;
  lastBeat = Number.POSITIVE_INFINITY;
  /** What the request is answered with, while it waits for the broker to be opened. */
  waiting: { destroy(): unknown } | undefined = undefined;
  private source: SourceSubscription | undefined = undefined;
  /** Whether its source may emit anything. */
  private hasSource = false;
  /** When it was opened, in milliseconds since the process started. */
  protected openedAt = 0;

  constructor(
    context: ConnectionContext,
    readonly number: number,
    public feeds: readonly string[],
    encoder: Encoder,
    /** Who it counts for. */
    readonly client: Client,
  ) {
    super(context, encoder);
  }

  get id(): string {
    return connectionId(this.context.nodeName, this.number);
  }

  get durationMs(): number {
    return Math.round(performance.now()) - this.openedAt;
  }

  /** Whether its head is sent. */
  get isOpen(): boolean {
    return this.transport !== undefined;
  }

  /** Whether its source, or a feed, has emitted anything yet. */
  get isReady(): boolean {
    return this.reason !== undefined || this.failure !== undefined || (this.queue?.hasEntries ?? false);
  }

  /**
   * Subscribes the source.
   *
   * @param source undefined where there is none, and `stop` is for something else
   * @param stop is aborted when the connection ends, before the source is unsubscribed
   */
  subscribe(source: ObservableInput<FeedItem> | InterceptedSource | undefined, stop?: AbortController): void {
    const subscription = source instanceof InterceptedSource ? source.attach(this) : subscribeTo(source ?? NEVER, this);
    this.hasSource = source !== undefined;
    this.source = stop ? new AbortedSource(subscription, stop) : subscription;
    if (this.reason !== undefined) this.stopSource();
  }

  /** Puts a replay before everything live. */
  replay(replay: Replay): void {
    this.queue?.replay(replay.measuredBy(this.measures));
  }

  /**
   * Gives the connection its transport, and begins to send.
   *
   * @throws as `throwFailure()`
   */
  open(makeTransport: () => Transport): void {
    this.throwFailure();
    this.transport = makeTransport();
    this.transport.listen(this);
    this.openedAt = Math.round(performance.now());
    this.sentBeat = this.progressBeat = this.context.keepAlive.beat;
    this.lastBeat = this.context.keepAlive.ageBeat();
    if (this.state === 'opening') this.state = 'replaying';
    this.queue?.settle(); // what came until now waited for the server
    this.context.onOpened(this);
    // It may have ended before it was opened.
    if (this.state === 'ended') this.transport.destroy();
    else this.flush();
  }

  async follow(feed: string, since?: string): Promise<void> {
    checkFeedId(feed);
    const start = since === undefined ? undefined : parseSince(since);
    const startOf = () => start;
    if (!this.isAccepting || this.feeds.includes(feed)) return;
    this.context.router.checkRoom([feed]);
    this.feeds = [...this.feeds, feed];
    const queue = this.beginQueue();
    const expected = queue.expect(feed);
    let replay: Replay | undefined;
    try {
      const subscribed = await this.context.router.subscribe(this, [feed], startOf, true);
      await this.context.router.addSnapshots(subscribed, startOf);
      replay = subscribed;
      this.context.onFollowed(this);
    } catch (error) {
      if (!expected.isCancelled) this.unfollow(feed);
      throw toFeedException(error);
    } finally {
      queue.resolve(expected, replay);
      this.flush();
    }
    if (replay?.endedFeeds.includes(feed)) this.onFeedEnded(feed);
  }

  unfollow(feed: string): boolean {
    if (!this.feeds.includes(feed)) return false;
    this.feeds = this.feeds.filter((other) => other !== feed);
    this.queue?.unfollow(feed);
    this.context.router.unsubscribe(this, feed);
    this.context.onFollowed(this);
    return true;
  }

  /** An item of the source. */
  next(item: FeedItem): void {
    if (!this.isAccepting) return;
    try {
      this.sendItem(item);
    } catch (error) {
      this.error(error);
    }
  }

  deliver(message: StoredMessage | TextMessage): void {
    if (this.isAccepting) this.sendMessage(message);
  }

  deliverNewest(message: StoredMessage): void {
    if (this.isAccepting) this.sendNewest(message);
  }

  deliverEnd(message: StoredMessage): void {
    if (this.isAccepting) this.sendEnd(message);
  }

  /** The source failed: before the head is sent `open()` throws it, later the client is told. */
  error(error: unknown): void {
    if (!this.isAccepting) return;
    this.failure = { error };
    if (this.state === 'opening') return;
    this.onFailed(error);
    this.end('error');
  }

  /** The source has come to its end. */
  complete(): void {
    this.end('completed');
  }

  end(reason: EndReason = 'completed', notice?: EndNotice): void {
    if (this.reason !== undefined) return;
    this.reason = reason;
    this.failure ??= notice;
    this.state = 'ending';
    this.stopSource();
    if (discarding.has(reason)) this.finish();
    else this.flush();
  }

  /** Cuts the connection, whatever waits. */
  destroy(): void {
    this.transport?.destroy();
    this.waiting?.destroy();
  }

  onDrain(): void {
    this.transport?.beginBurst();
    this.flush();
  }

  onClose(): void {
    this.reason ??= 'client';
    this.state = 'ended';
    this.queue = undefined;
    this.stopSource();
    this.context.onClosed(this);
  }

  protected onFlushed(): void {
    this.source?.resume?.();
  }

  /** Where that was all that it follows, the response ends behind it: in good order, and without what came after a new beginning. */
  protected onFeedEnded(feed: string): void {
    this.unfollow(feed);
    if (this.feeds.length > 0 || this.hasSource || this.reason !== undefined) return;
    this.queue = undefined;
    this.end();
  }

  protected onFailed(error: unknown): void {
    this.context.onFailed(this, error);
  }

  protected replayFrom(startOf: (feed: string) => Start): Promise<Replay> {
    return this.context.router.replayFrom(this.feeds, startOf);
  }

  /** An error of the application's clean-up must neither reach the publisher nor keep the connection open. */
  private stopSource(): void {
    try {
      this.source?.unsubscribe();
    } catch (error) {
      this.onFailed(error);
    }
  }
}
