import type { Broker, BrokerContext, BrokerFactory, HistoryBounds } from '../feed/broker/broker.js';
import { MemoryBroker } from '../feed/broker/memory/memory-broker.js';
import { checkOptions } from '../feed/errors/option-rules.js';
import { feedOptionRules } from '../feed/feed.options.js';
import { checkFeedId, isFeedId } from '../feed/message/feed-id.js';
import { type FeedMessage, type StoredMessage, toFeedMessage } from '../feed/message/message.js';
import { describeMessages, mostShown } from './errors.js';
import { FeedMessages, type MessageSource } from './messages.js';
import { type TimeLimit, timeLimitRules } from './time-limit.js';

/** Records in order, also what a subscriber publishes in response to a message. */
class RecordingBroker extends MemoryBroker {
  constructor(
    bounds: HistoryBounds,
    private readonly record: (message: StoredMessage) => void,
  ) {
    super(bounds);
  }

  protected override deliver(message: StoredMessage): void {
    this.record(message);
    super.deliver(message);
  }
}

/**
 * Records what an application publishes, in the place of its message broker. All works as with the memory broker: messages are stored and
 * delivered in this process.
 */
export class FeedRecorder {
  private recorded: StoredMessage[] = [];
  /** By feed, what neither `next()` nor `feed()` has returned yet. */
  private readonly untaken = new Map<string, StoredMessage[]>();
  private wake: () => void = () => {};
  private change = this.nextChange();

  /**
   * The broker: `FeedModule.forRoot({ broker: recorder.broker })`, or, in the place of another one,
   * `.overrideProvider(Broker).useFactory({ factory: recorder.broker })`. History is then stored within the default bounds, without those of
   * rules.
   */
  readonly broker: BrokerFactory = (context?: BrokerContext): Broker => new RecordingBroker(context ?? defaultBounds(), this.record);

  /**
   * What was published since the beginning, or since `clear()`, in order; the ends of feeds as well, as messages of the type `end`. Each call
   * returns objects of its own.
   *
   * @param feed default: every feed
   * @throws FeedException FEED_ID (400)
   */
  messages<T = unknown>(feed?: string): FeedMessage<T>[] {
    if (feed !== undefined) checkFeedId(feed);
    const found = feed === undefined ? this.recorded : this.recorded.filter((message) => message.feed === feed);
    return found.map((message) => toFeedMessage(message) as FeedMessage<T>);
  }

  /**
   * Waits for the next message of a feed: the first one that neither `next()` nor `feed()` has returned yet. It may have been published
   * before.
   *
   * @param options `timeoutMs`: how long, in milliseconds. Default: 5000
   * @throws FeedTimeoutError when it does not come in time; FeedException FEED_ID (400)
   */
  async next<T = unknown>(feed: string, options: TimeLimit = {}): Promise<FeedMessage<T>> {
    const { value } = await this.feed<T>(feed, options).next();
    return value as FeedMessage<T>; // a recorder has no end
  }

  /**
   * The messages of a feed as `next()` returns them, for a `for await` loop or `expectMessages()`. Leaving the loop leaves the rest to the next.
   *
   * @param options `timeoutMs`: how long each is waited for, in milliseconds. Default: 5000
   * @throws FeedException FEED_ID (400); FeedOptionsError for a wrong option
   */
  feed<T = unknown>(feed: string, options: TimeLimit = {}): FeedMessages<T> {
    const { timeoutMs } = checkOptions('FeedRecorder', timeLimitRules, options);
    const source: MessageSource = {
      name: `The recorded feed "${checkFeedId(feed)}"`,
      take: () => this.take(feed),
      more: async () => {
        await this.change;
        return true;
      },
      describe: () => `So far, on all feeds: ${describeMessages(this.recorded.length, this.recorded.slice(-mostShown).map(toFeedMessage))}`,
      close: () => {},
    };
    return new FeedMessages(source, timeoutMs);
  }

  /** Forgets what was recorded. The feeds themselves stay as they are: positions go on, and history is still replayed. */
  clear(): void {
    this.recorded = [];
    this.untaken.clear();
  }

  private take(feed: string): FeedMessage | undefined {
    const message = this.untaken.get(feed)?.shift();
    return message && toFeedMessage(message);
  }

  private readonly record = (message: StoredMessage): void => {
    const { feed } = message;
    if (!isFeedId(feed)) return; // one of the module's own
    this.recorded.push(message);
    const untaken = this.untaken.get(feed);
    if (untaken) untaken.push(message);
    else this.untaken.set(feed, [message]);
    this.wake();
    this.change = this.nextChange();
  };

  private nextChange(): Promise<void> {
    return new Promise((resolve) => {
      this.wake = resolve;
    });
  }
}

/** What the module stores of feeds by default. */
function defaultBounds(): HistoryBounds {
  const { historyLength, historyTtlMs, historyBytes, historyTotalBytes, idempotencyMs } = feedOptionRules;
  return checkOptions('FeedRecorder', { historyLength, historyTtlMs, historyBytes, historyTotalBytes, idempotencyMs }, {});
}
