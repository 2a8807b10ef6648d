import { FeedException, isAnswer } from '../errors/feed-exception.js';
import type { Serialise } from '../message/content.js';
import type { TextMessage } from '../message/message.js';

/** The type of the message that tells the state of a feed. */
const snapshotType = 'snapshot';

/** Asks for snapshots of feeds: for one of a feed at a time, and for the next one once, however many wait for it. */
export class Snapshots {
  private readonly running = new Map<string, Promise<TextMessage>>();
  /** Those that are asked for when the one before has come. */
  private readonly next = new Map<string, Promise<TextMessage>>();

  /**
   * @param onFailed told once of each that failed
   */
  constructor(
    private readonly serialise: Serialise,
    private readonly onFailed: (feed: string, error: unknown) => void,
  ) {}

  /**
   * The snapshot of a feed, asked for after this call: one that has begun before may lack what was published before the caller subscribed.
   *
   * @throws FeedException FEED_UNAVAILABLE (503), or the HttpException that it failed with
   */
  of(feed: string, make: (feed: string) => unknown): Promise<TextMessage> {
    const next = this.next.get(feed) ?? this.ask(feed, make);
    this.next.set(feed, next);
    return next;
  }

  private async ask(feed: string, make: (feed: string) => unknown): Promise<TextMessage> {
    await this.running.get(feed)?.catch(() => {}); // it fails for those who wait for it
    this.running.set(feed, this.next.get(feed) as Promise<TextMessage>);
    this.next.delete(feed);
    try {
      return this.messageOf(feed, await make(feed));
    } catch (error) {
      throw isAnswer(error) ? error : this.failure(feed, error);
    } finally {
      this.running.delete(feed);
    }
  }

  /** It has no id: a reader's position is where its replay begins. So all who wait for it get the same message, which is encoded once. */
  private messageOf(feed: string, data: unknown): TextMessage {
    try {
      return { id: undefined, feed, ...this.serialise(data, snapshotType) };
    } catch (error) {
      throw this.failure(feed, error); // it is not the client's
    }
  }

  private failure(feed: string, cause: unknown): FeedException {
    this.onFailed(feed, cause);
    return new FeedException('FEED_UNAVAILABLE', { message: `The snapshot of the feed "${feed}" is not available.`, cause });
  }
}
