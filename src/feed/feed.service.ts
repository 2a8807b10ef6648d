import { Inject, Injectable } from '@nestjs/common';
import type { Observable } from 'rxjs';
import { Broker } from './broker/broker.js';
import type { NodeCounts } from './cluster/announcement.js';
import { Nodes } from './cluster/nodes.js';
import type { FeedConnection } from './connection/feed-connection.js';
import { type ConnectOptions, FeedOpener } from './connection/feed-opener.js';
import { Registry } from './connection/registry.js';
import { FeedLifecycle } from './feed.lifecycle.js';
import { FEED_OPTIONS, type ResolvedFeedOptions } from './feed.options.js';
import { FeedReader } from './feed.reader.js';
import type { AnyRequest, AnyResponse } from './http/adapter.js';
import { Admission } from './limits/admission.js';
import { contentOf } from './message/content.js';
import type { FeedEnd } from './message/end.js';
import { checkFeedId } from './message/feed-id.js';
import { type FeedMessage, toFeedMessage } from './message/message.js';
import { conditionsOf, type PublishOptions } from './pubsub/publish-options.js';
import { Publisher, type PublishListener } from './pubsub/publisher.js';
import { Router } from './pubsub/router.js';
import type { Producer, RunOptions } from './run/run.js';
import { type FeedRun, Runs } from './run/runs.js';
import type { FeedCount, FeedCounts } from './stats/counts.js';
import type { EndReason } from './stats/end-reason.js';
import type { FeedEvent } from './stats/events.js';
import type { FeedStatus } from './stats/status.js';

/** Publishes to feeds, reads and follows them, counts their connections and ends them. */
@Injectable()
export class FeedService extends FeedReader {
  constructor(
    broker: Broker,
    router: Router,
    private readonly publisher: Publisher,
    private readonly registry: Registry,
    private readonly opener: FeedOpener,
    private readonly admission: Admission,
    private readonly nodes: Nodes,
    private readonly runs: Runs,
    private readonly lifecycle: FeedLifecycle,
    @Inject(FEED_OPTIONS) private readonly options: ResolvedFeedOptions,
  ) {
    super(broker, router);
  }

  /** Connections and feeds as they begin and end. Without a subscriber, no event is made. */
  get events$(): Observable<FeedEvent> {
    return this.registry.events$;
  }

  /** Whether the service takes connections and messages. */
  get status(): FeedStatus {
    const { name, unavailableSince, unavailableReason } = this.broker;
    return {
      isDraining: this.lifecycle.isDraining,
      open: this.registry.size,
      opened: this.registry.opened,
      rejected: this.admission.rejected,
      limit: this.admission.maxConnections,
      broker: { name, unavailableSince, unavailableReason, slowSince: this.admission.intake.slowSince },
    };
  }

  /**
   * Publishes a message: to all who follow the feed, and to all who resume from before it, as long as history stores it.
   *
   * @param feed a feed id: see `feedIdRule`
   * @param data text, bytes (UTF-8), or a value that JSON can express, after the option `serialize`; serialised at once
   * @param options see `PublishOptions`
   * @returns the message, once the broker has stored it
   * @throws FeedException FEED_ID, FEED_MESSAGE (400) for what cannot be published; FEED_POSITION (409) where the feed has messages after
   * the expected position; FEED_KEY (422) where the key was used for other data; FEED_BODY_TOO_LARGE (413) for more than the broker
   * takes; FEED_ENDED (409) where the feed has ended; FEED_TOO_MANY (429) for more messages a second than its rule allows; FEED_BROKER (503)
   * while the broker is unavailable: if that has just begun, the message may have been stored all the same. With a `key`, it can be published
   * again
   */
  async publish<T>(feed: string, data: T, options: PublishOptions = {}): Promise<FeedMessage<T>> {
    const [message] = await this.send([feed], data, options);
    return message as FeedMessage<T>;
  }

  /**
   * Publishes the same to many feeds. A client that follows several of them gets it once for each.
   *
   * @param feeds a feed that is named twice gets it once
   * @returns the messages, in the order of the feeds, once the broker has stored all of them
   * @throws as `publish()`; what cannot be published is published to none of the feeds, but where the broker becomes unavailable
   * meanwhile, some may have got it
   */
  publishMany<T>(feeds: Iterable<string>, data: T, options: Omit<PublishOptions, 'expected'> = {}): Promise<FeedMessage<T>[]> {
    return this.send([...new Set(feeds)], data, options);
  }

  /**
   * Publishes different messages at once, in their order, without waiting for one before the next.
   *
   * @returns what became of each, as `Promise.allSettled()` tells it: the message, or a FeedException as `publish()` throws it
   */
  publishAll(messages: Iterable<PublishOptions & { feed: string; data: unknown }>): Promise<PromiseSettledResult<FeedMessage>[]> {
    return Promise.allSettled([...messages].map(({ feed, data, ...options }) => this.publish(feed, data, options)));
  }

  /**
   * Ends a feed for good: appends its last message, of the type `end`, which history stores as any other. All who follow the feed get it,
   * and then their responses end in good order; those who come back with their position get what they missed and the end, and 204 once they
   * have it all. Nothing can be published to the feed until `clear()`, or until history has dropped its end.
   *
   * @param options `error`: what went wrong, worded for clients: the feed ends as `failed` then. Default: it is `completed`
   * @returns the last message; where the feed has ended before, the one that it ended with
   * @throws FeedException FEED_ID (400); FEED_BROKER (503) while the broker is unavailable
   */
  finish(feed: string, { error }: { error?: string } = {}): Promise<FeedMessage<FeedEnd>> {
    return this.endWith(feed, error === undefined ? { reason: 'completed' } : { reason: 'failed', message: error });
  }

  /** Ends a feed for good, as `stopped`: see `finish()`. */
  stop(feed: string): Promise<FeedMessage<FeedEnd>> {
    return this.endWith(feed, { reason: 'stopped' });
  }

  /**
   * Starts a producer that outlives its clients, once over all nodes: what its source emits is published to the feed, which ends with it. The
   * source is pulled as fast as the broker takes its messages, whatever the clients do. A feed that has ended is not run again: `clear()`
   * it first.
   *
   * @param producer makes the source; its signal is aborted by `stop()` and `finish()` on any node
   * @returns what has become of it: `started` here, `joined` one that runs already, or `ended`
   * @throws what the producer throws before it has returned a source, and then nothing has begun; FeedException FEED_ID (400), FEED_BROKER
   * (503)
   */
  run(feed: string, producer: Producer, options: RunOptions = {}): Promise<FeedRun> {
    return this.runs.run(checkFeedId(feed), producer, options);
  }

  /**
   * Removes what is stored of a feed, which begins anew: also one that has ended. All who follow it, and all who come back with a position
   * on it, get a `reset`.
   *
   * @throws FeedException FEED_ID (400); FEED_BROKER (503) while the broker is unavailable
   */
  async clear(feed: string): Promise<void> {
    await this.publisher.clear(checkFeedId(feed));
  }

  /**
   * Turns a response into a feed: its head is sent with the first message, or a turn of the event loop later, and from then on the
   * connection lives until the client leaves, the source ends or the application ends it.
   *
   * @returns the connection; undefined where there is none, because the request was `HEAD` or the client has left
   * @throws FeedException FEED_ID (400) for a feed of the module's own, whose name begins with `$`; FEED_FORBIDDEN (403) when the token
   * does not grant all of the feeds; FEED_FORMAT (406); FEED_TOO_MANY (429) at a limit of the client; FEED_UNAVAILABLE (503) at the
   * limit of all or of a feed, where a snapshot fails, and while the service shuts down; FEED_BROKER (503) while the broker, which stores what the client missed, is unavailable;
   * and what the source fails with before the first byte
   */
  connect(request: AnyRequest, response: AnyResponse, options: ConnectOptions = {}): Promise<FeedConnection | undefined> {
    return this.opener.open(request, response, options);
  }

  /**
   * Ends the connections of a feed, or all there are. What waits for their clients is sent first.
   *
   * @param feed default: every feed
   * @returns how many connections that were
   */
  end(feed?: string, reason: EndReason = 'completed'): number {
    return this.registry.end(feed, reason);
  }

  /** Counts over all feeds since the process started. */
  counts(): FeedCounts {
    return this.registry.counts();
  }

  /** Counts of one feed; zeros where it has no connections. */
  count(feed: string): FeedCount {
    return this.registry.count(feed);
  }

  /**
   * The counts of each process that shares the broker and was heard of in the last 6 seconds, this one's first: its own are current, those
   * of the others up to 2 seconds old.
   */
  cluster(): NodeCounts[] {
    return this.nodes.all();
  }

  /**
   * The feeds that have the most subscribers in this process. This looks at each feed.
   *
   * @param most how many feeds
   */
  busiest(most: number): { id: string; followers: number }[] {
    return this.router.busiest(most);
  }

  /** How many subscribers a feed has in this process: connections, and those of `messages()`. */
  subscribers(feed: string): number {
    return this.router.topic(feed)?.size ?? 0;
  }

  private async send<T>(feeds: readonly string[], data: T, options: PublishOptions): Promise<FeedMessage<T>[]> {
    for (const feed of feeds) checkFeedId(feed);
    const { serialize } = this.options;
    // Called alone: a second parameter of the application's function is not ours to fill.
    const content = contentOf(serialize ? serialize(data) : data, options.type);
    const messages = await this.publisher.publish(feeds, content, conditionsOf(options));
    return messages.map((message) => toFeedMessage(message) as FeedMessage<T>);
  }

  private async endWith(feed: string, end: FeedEnd): Promise<FeedMessage<FeedEnd>> {
    return toFeedMessage(await this.runs.end(checkFeedId(feed), end)) as FeedMessage<FeedEnd>;
  }

  /** Has one listener told how long each publication took. Without one, nothing is measured. */
  onPublish(listener: PublishListener): void {
    this.publisher.listen(listener);
  }
}
