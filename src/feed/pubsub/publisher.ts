import type { Broker } from '../broker/broker.js';
import { toFeedException } from '../errors/to-feed-exception.js';
import type { Content, StoredMessage } from '../message/message.js';

/**
 * Told when the broker has stored what was published at once, to one feed or to many, or has failed.
 *
 * @param ms how long that took, in milliseconds
 */
export type PublishListener = (ms: number, isPublished: boolean) => void;

/** Passes checked messages to the broker. */
export class Publisher {
  private listener: PublishListener | undefined;

  constructor(private readonly broker: Broker) {}

  /** Has one listener told of each publication. Without one, nothing is measured. */
  listen(listener: PublishListener): void {
    this.listener = listener;
  }

  /** @throws FeedException FEED_BODY_TOO_LARGE (413), FEED_BROKER (503) */
  async publish(feeds: readonly string[], content: Content): Promise<StoredMessage[]> {
    const begun = this.listener ? performance.now() : 0;
    try {
      const messages = await Promise.all(feeds.map((feed) => this.broker.publish(feed, content)));
      this.listener?.(performance.now() - begun, true);
      return messages;
    } catch (error) {
      this.listener?.(performance.now() - begun, false);
      throw toFeedException(error);
    }
  }
}
