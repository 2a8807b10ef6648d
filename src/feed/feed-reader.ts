import { catchError, type Observable, throwError } from 'rxjs';
import type { Broker } from './broker/broker.js';
import { throwFeedException, toFeedException } from './errors/to-feed-exception.js';
import type { FeedMessageOf, FeedNotice, FeedRef, FeedSchemas } from './message/feed-definition.js';
import { checkFeedId, feedIdOf } from './message/feed-id.js';
import type { FeedMessage } from './message/message.js';
import { formatPosition, parseSince } from './message/position.js';
import { type FeedHistory, type HistoryOptions, historyOf, positionOf } from './pubsub/history.js';
import { messagesOf } from './pubsub/messages.js';
import type { Router } from './pubsub/router.js';

/** What `FeedService` reads of feeds: what is stored, and what comes. */
export abstract class FeedReader {
  /** @internal */
  constructor(
    protected readonly broker: Broker,
    protected readonly router: Router,
  ) {}

  /**
   * The messages of a feed for the application itself, or as a part of a source.
   *
   * @param options `since`: where to begin, as in `HistoryOptions`. Default: with the next message, and what the feed's rule replays
   * @returns an Observable that goes on until you unsubscribe, or the feed ends. While the broker is unavailable it waits, and then
   * continues from where it was; it emits a `reset` where messages are lost
   * @throws FeedException FEED_ID, FEED_SINCE (400)
   */
  messages(feed: string, options?: { since?: string }): Observable<FeedMessage>;
  /** The same for a feed of a definition. */
  messages<Schemas extends FeedSchemas>(
    feed: FeedRef<Schemas>,
    options?: { since?: string },
  ): Observable<FeedMessageOf<FeedRef<Schemas>> | FeedNotice>;
  messages(feed: string | FeedRef, { since }: { since?: string } = {}): Observable<FeedMessage> {
    const messages = messagesOf(this.router, checkFeedId(feedIdOf(feed)), since === undefined ? undefined : parseSince(since));
    return messages.pipe(catchError((error) => throwError(() => toFeedException(error))));
  }

  /**
   * Reads what is stored of a feed: up to 1,000 messages, or as many as have 1 MiB of text. To read on, pass the `position` that this
   * resolves with as `since`, until there are no more `messages`.
   *
   * @param options see `HistoryOptions`
   * @throws FeedException FEED_ID, FEED_SINCE, FEED_QUERY (400); FEED_BROKER (503) while the broker is unavailable
   */
  history(feed: string, options?: HistoryOptions): Promise<FeedHistory>;
  /** The same for a feed of a definition. */
  history<Schemas extends FeedSchemas>(
    feed: FeedRef<Schemas>,
    options?: HistoryOptions,
  ): Promise<FeedHistory<FeedMessageOf<FeedRef<Schemas>> | FeedNotice>>;
  async history(feed: string | FeedRef, options: HistoryOptions = {}): Promise<FeedHistory> {
    return historyOf(this.broker, checkFeedId(feedIdOf(feed)), options).catch(throwFeedException);
  }

  /**
   * Where a feed is at this moment, or several feeds: behind all that has been published to them, also where they have ended. What a client
   * gets that follows them from here (`?since=`) is what comes later.
   *
   * @throws FeedException FEED_ID (400); FEED_BROKER (503) while the broker is unavailable
   */
  async position(feeds: string | FeedRef | readonly (string | FeedRef)[]): Promise<string> {
    const ids = [feeds].flat().map((feed) => checkFeedId(feedIdOf(feed)));
    return formatPosition(await positionOf(this.broker, ids).catch(throwFeedException));
  }
}
