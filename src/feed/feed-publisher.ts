import type { StandardSchemaV1 } from '@standard-schema/spec';
import type { Broker } from './broker/broker.js';
import { FeedOptionsError } from './errors/feed-options.error.js';
import { FeedReader } from './feed-reader.js';
import type { Serialise } from './message/content.js';
import { endOf, type FeedEnd } from './message/end.js';
import type { FeedRef, FeedSchemas } from './message/feed-definition.js';
import { checkFeedId, feedIdOf } from './message/feed-id.js';
import { type FeedMessage, toFeedMessage } from './message/message.js';
import { checkDefined, untyped } from './pubsub/definitions.js';
import type { MessagePublisher } from './pubsub/message-publisher.js';
import type { PublishOptions } from './pubsub/publish-options.js';
import type { Router } from './pubsub/router.js';
import type { Producer } from './run/run.js';
import { checkRunOptions, type RunOptions } from './run/run.options.js';
import type { FeedRun, Runs } from './run/runs.js';

/** How a message is published whose type is a parameter of its own. */
export type TypedPublishOptions = Omit<PublishOptions, 'type'>;

/** What `FeedService` publishes to feeds, and how it ends them. */
export abstract class FeedPublisher extends FeedReader {
  /** @internal */
  constructor(
    broker: Broker,
    router: Router,
    protected readonly publisher: MessagePublisher,
    private readonly runs: Runs,
    private readonly serialise: Serialise,
  ) {
    super(broker, router);
  }

  /**
   * Publishes a message: to all who follow the feed, and to all who resume from before it, as long as history stores it.
   *
   * @param feed a feed id: see `feedIdRule`
   * @param data text, bytes (UTF-8), or a value that JSON can express, after the option `serialize`; serialised at once, unless its schema
   * checks it later
   * @param options see `PublishOptions`
   * @returns the message, once the broker has stored it
   * @throws FeedException FEED_ID, FEED_MESSAGE (400) for what cannot be published, with `issues` where the data does not fit the schema of
   * the feed's definition; FEED_POSITION (409) where the feed has messages after the expected position; FEED_KEY (422) where the key was
   * used for other data; FEED_BODY_TOO_LARGE (413) for more than the broker takes; FEED_ENDED (409) where the feed has ended; FEED_TOO_MANY
   * (429) for more messages a second than its rule allows; FEED_BROKER (503) while the broker is unavailable: if that has just begun, the
   * message may have been stored all the same. With a `key`, it can be published again
   */
  publish<T>(feed: string, data: T, options?: PublishOptions): Promise<FeedMessage<T>>;
  /**
   * The same for a feed of a definition. What is stored is what the schema makes of the data.
   *
   * @param type one of the definition's; `message` for a message without a type
   * @throws TypeError where the definition is not in the option `feeds` of the module
   */
  publish<Schemas extends FeedSchemas, Type extends keyof Schemas & string>(
    feed: FeedRef<Schemas>,
    type: Type,
    data: StandardSchemaV1.InferInput<Schemas[Type]>,
    options?: TypedPublishOptions,
  ): Promise<FeedMessage<StandardSchemaV1.InferOutput<Schemas[Type]>>>;
  async publish(feed: string | FeedRef, first: unknown, second: unknown = {}, third: TypedPublishOptions = {}): Promise<FeedMessage> {
    const [message] = isRef(feed)
      ? await this.send([checkDefined(this.publisher.definitions, feed)], second, { ...third, type: first as string })
      : await this.send([feed], first, second as PublishOptions);
    return message as FeedMessage;
  }

  /**
   * Publishes the same to many feeds. A client that follows several of them gets it once for each.
   *
   * @param feeds a feed that is named twice gets it once
   * @returns the messages, in the order of the feeds, once the broker has stored all of them
   * @throws as `publish()`; what cannot be published is published to none of the feeds, but where the broker becomes unavailable
   * meanwhile, some may have got it
   */
  publishMany<T>(feeds: Iterable<string>, data: T, options?: Omit<PublishOptions, 'expected'>): Promise<FeedMessage<T>[]>;
  /** The same for feeds of one definition. */
  publishMany<Schemas extends FeedSchemas, Type extends keyof Schemas & string>(
    feeds: Iterable<FeedRef<Schemas>>,
    type: Type,
    data: StandardSchemaV1.InferInput<Schemas[Type]>,
    options?: Omit<TypedPublishOptions, 'expected'>,
  ): Promise<FeedMessage<StandardSchemaV1.InferOutput<Schemas[Type]>>[]>;
  async publishMany(
    feeds: Iterable<string | FeedRef>,
    first: unknown,
    second: unknown = {},
    third: TypedPublishOptions = {},
  ): Promise<FeedMessage[]> {
    const named = [...feeds];
    if (!named.some(isRef)) return this.send([...new Set(named as string[])], first, second as PublishOptions);
    const ids = new Set((named as FeedRef[]).map((feed) => checkDefined(this.publisher.definitions, feed)));
    return this.send([...ids], second, { ...third, type: first as string });
  }

  /**
   * Publishes different messages at once, in their order, without waiting for one before the next.
   *
   * @returns what became of each, as `Promise.allSettled()` tells it: the message, or a FeedException as `publish()` throws it
   */
  publishAll(messages: Iterable<PublishOptions & { feed: string | FeedRef; data: unknown }>): Promise<PromiseSettledResult<FeedMessage>[]> {
    return Promise.allSettled(
      Array.from(messages, ({ feed, data, type, ...options }) =>
        isRef(feed) ? this.publish(feed, type ?? untyped, data, options) : this.publish(feed, data, { ...options, type }),
      ),
    );
  }

  /**
   * Ends a feed for good: appends its last message, of the type `end`, which history stores as any other. All who follow the feed get it,
   * and then their responses end in good order; those who come back with their position get what they missed and the end, and 204 once they
   * have it all. Nothing can be published to the feed until `clear()`, or until history has dropped its end.
   *
   * @param options `error`: what went wrong, worded for clients, in 1,000 characters at most: the feed ends as `failed` then. Default: it is
   * `completed`
   * @returns the last message; where the feed has ended before, the one that it ended with
   * @throws FeedException FEED_ID (400); FEED_MESSAGE (400) for an error that is no such text; FEED_BROKER (503) while the broker is unavailable
   */
  async finish(feed: string | FeedRef, options: { error?: string } = {}): Promise<FeedMessage<FeedEnd>> {
    return this.endWith(feed, endOf(options));
  }

  /** Ends a feed for good, as `stopped`: see `finish()`. */
  stop(feed: string | FeedRef): Promise<FeedMessage<FeedEnd>> {
    return this.endWith(feed, { reason: 'stopped' });
  }

  /**
   * Starts a producer that outlives its clients, once over all nodes: what its source emits is published to the feed, which ends with it. The
   * source is pulled as fast as the broker takes its messages, whatever the clients do. A feed that has ended is not run again: `clear()`
   * it first. With what the feed's definition refuses, the run fails.
   *
   * @param producer makes the source; its signal is aborted by `stop()` and `finish()` on any node
   * @returns what has become of it: `started` here, `joined` one that runs already, or `ended`
   * @throws what the producer throws before it has returned a source, and then nothing has begun; FeedOptionsError; FeedException FEED_ID
   * (400), FEED_BROKER (503)
   */
  async run(feed: string | FeedRef, producer: Producer, options: RunOptions = {}): Promise<FeedRun> {
    const id = checkFeedId(feedIdOf(feed));
    if (typeof producer !== 'function') throw new FeedOptionsError('run() takes a function that makes the source', 'producer');
    return this.runs.run(id, producer, checkRunOptions('run()', options));
  }

  /**
   * Removes what is stored of a feed, and forgets its keys. The feed begins anew, also if it has ended. Its run is over, as after `stop()`.
   * Clients that follow the feed, and those that resume with a position on it, get a `reset`.
   *
   * @throws FeedException FEED_ID (400); FEED_BROKER (503) while the broker is unavailable
   */
  async clear(feed: string | FeedRef): Promise<void> {
    await this.runs.clear(checkFeedId(feedIdOf(feed)));
  }

  private async send(feeds: readonly string[], data: unknown, options: PublishOptions): Promise<FeedMessage[]> {
    for (const feed of feeds) checkFeedId(feed);
    const messages = await this.publisher.publish(feeds, data, options, this.serialise);
    return messages.map(toFeedMessage);
  }

  private async endWith(feed: string | FeedRef, end: FeedEnd): Promise<FeedMessage<FeedEnd>> {
    return toFeedMessage(await this.runs.end(checkFeedId(feedIdOf(feed)), end)) as FeedMessage<FeedEnd>;
  }
}

function isRef(feed: string | FeedRef): feed is FeedRef {
  return typeof feed === 'object' && feed !== null;
}
