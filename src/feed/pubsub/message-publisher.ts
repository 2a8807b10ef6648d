import type { Broker, PublishConditions } from '../broker/broker.js';
import { FeedEndedError } from '../errors/broker.errors.js';
import { FeedException } from '../errors/feed-exception.js';
import { throwFeedException, toFeedException } from '../errors/to-feed-exception.js';
import type { Serialise } from '../message/content.js';
import { endContent, type FeedEnd, isEnd } from '../message/end.js';
import type { Content, StoredMessage } from '../message/message.js';
import { RateLimit } from '../time/rate-limit.js';
import type { Definitions } from './definitions.js';
import { conditionsOf, type PublishOptions } from './publish-options.js';
import type { FeedRule, RuleSet } from './rules.js';

/**
 * Told when the broker has stored what was published at once, to one feed or to many, or has failed.
 *
 * @param ms how long that took, in milliseconds
 */
export type PublishListener = (ms: number, isPublished: boolean) => void;

const secondMs = 1000;
/** How often a feed is cleared in the moments between the question and the answer, while it is being ended. */
const mostAttempts = 5;

/** Checks messages and passes them to the broker. */
export class MessagePublisher {
  private listener: PublishListener | undefined;
  /** How often the feeds of a rule are published to. */
  private readonly limits = new Map<FeedRule, RateLimit>();
  /** The feeds of messages whose schema checks them later: what is published after them waits, so that their order is kept. */
  private readonly checking = new Map<string, Promise<unknown>>();

  /** @param onRejected told of each publication that the rule of a feed rejects */
  constructor(
    private readonly broker: Broker,
    private readonly rules: RuleSet,
    readonly definitions: Definitions | undefined,
    private readonly onRejected: () => void,
  ) {
    for (const rule of rules.all) {
      if (rule.publishPerSecond !== undefined) this.limits.set(rule, new RateLimit(rule.publishPerSecond, secondMs));
    }
  }

  /** Has one listener told of each publication. Without one, nothing is measured. */
  listen(listener: PublishListener): void {
    this.listener = listener;
  }

  /**
   * Publishes the same to feeds whose ids are checked.
   *
   * @param serialise makes the content of the data, at once unless a schema has to check it first
   * @throws FeedException FEED_MESSAGE (400), and what `serialise` throws, at once; it rejects with FEED_BODY_TOO_LARGE (413), FEED_ENDED,
   * FEED_POSITION (409), FEED_KEY (422), FEED_TOO_MANY (429), FEED_BROKER (503)
   */
  publish(feeds: readonly string[], data: unknown, options: PublishOptions, serialise: Serialise): Promise<StoredMessage[]> {
    if (this.definitions === undefined) return this.store(feeds, serialise(data, options.type), conditionsOf(options));
    const contents = this.definitions.contentsOf(feeds, data, options.type, serialise);
    const conditions = conditionsOf(options);
    if (this.checking.size === 0 && !contents.some(isPromise)) return this.store(feeds, contents as Content[], conditions);
    return this.storeLater(feeds, contents, conditions);
  }

  private async storeLater(
    feeds: readonly string[],
    contents: readonly (Content | Promise<Content>)[],
    conditions: PublishConditions | undefined,
  ): Promise<StoredMessage[]> {
    const ready = Promise.allSettled([...feeds.map((feed) => this.checking.get(feed)), ...contents]);
    for (const feed of feeds) this.checking.set(feed, ready);
    let checked: readonly Content[];
    try {
      await ready;
      checked = await Promise.all(contents);
    } finally {
      for (const feed of feeds) if (this.checking.get(feed) === ready) this.checking.delete(feed);
    }
    return this.store(feeds, checked, conditions);
  }

  /** @param contents one for all feeds, or one for each */
  private async store(
    feeds: readonly string[],
    contents: Content | readonly Content[],
    conditions: PublishConditions | undefined,
  ): Promise<StoredMessage[]> {
    if (this.limits.size > 0) this.limit(feeds);
    const begun = this.listener ? performance.now() : 0;
    const publish = (feed: string, n: number) =>
      this.broker.publish(feed, 'text' in contents ? contents : (contents[n] as Content), conditions);
    try {
      const messages = feeds.length === 1 ? [await publish(feeds[0] as string, 0)] : await Promise.all(feeds.map(publish));
      this.listener?.(performance.now() - begun, true);
      return messages;
    } catch (error) {
      this.listener?.(performance.now() - begun, false);
      throw toFeedException(error);
    }
  }

  /**
   * Appends the last message of a feed, unless it has one.
   *
   * @returns its last message
   * @throws FeedException FEED_BROKER (503); FEED_ENDED (409) where it is cleared, and ended, each time that its last message is looked for
   */
  async end(feed: string, end: FeedEnd): Promise<StoredMessage> {
    try {
      for (let attempt = 1; ; attempt += 1) {
        try {
          return await this.broker.publish(feed, endContent(end));
        } catch (error) {
          if (!(error instanceof FeedEndedError) || attempt > mostAttempts) throw error;
        }
        const { messages } = await this.broker.read(feed, 'newest', 0);
        // It may have been cleared meanwhile.
        if (isEnd(messages[0])) return messages[0] as StoredMessage;
      }
    } catch (error) {
      throw toFeedException(error);
    }
  }

  /** Rejects a publication that one of its feeds does not take at the moment; it then counts for none of them. */
  private limit(feeds: readonly string[]): void {
    const limited = feeds.flatMap((feed) => {
      const limit = this.limits.get(this.rules.of(feed) as FeedRule);
      return limit ? [{ feed, limit }] : [];
    });
    for (const { feed, limit } of limited) {
      if (!limit.isExceeded(feed)) continue;
      this.onRejected();
      const message = `The feed "${feed}" takes ${limit.rate} messages a second.`;
      throw new FeedException('FEED_TOO_MANY', { message, retryAfter: limit.retryAfter(feed) });
    }
    for (const { feed, limit } of limited) limit.take(feed);
  }

  /** Removes what is stored of a feed. */
  async clear(feed: string): Promise<void> {
    await this.broker.clear(feed).catch(throwFeedException);
  }
}

function isPromise(content: Content | Promise<Content>): content is Promise<Content> {
  return 'then' in content;
}
