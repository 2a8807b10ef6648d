import { checkOptions } from '../feed/errors/option-rules.js';
import type { FeedMessage } from '../feed/message/message.js';
import { FeedTimeoutError } from './errors.js';
import { overdue, type TimeLimit, timeLimitRules, within } from './time-limit.js';

/** Where messages come from. */
export interface MessageSource {
  /** What it is, as errors name it: `GET http://127.0.0.1:3000/orders/7`. */
  readonly name: string;
  /** The next message, if it is there already. */
  take(): FeedMessage | undefined;
  /** Resolves when there may be more to take, with false where there never will be. Waiting takes nothing. */
  more(): Promise<boolean>;
  /** What has come so far, for an error. */
  describe(): string;
  /** Ends the source: nothing is taken from it any more. */
  close(): void;
}

/**
 * The messages of a feed, one after the other, each waited for no longer than a time limit. Leaving a `for await` loop closes them.
 *
 * A wait that has failed takes nothing: the next one gets the message that comes later.
 */
export class FeedMessages<T = unknown> implements AsyncIterableIterator<FeedMessage<T>> {
  private isClosed = false;

  /** @internal */
  constructor(
    private readonly source: MessageSource,
    private readonly timeoutMs: number,
  ) {}

  /** Where the messages come from, as errors name it. */
  get name(): string {
    return this.source.name;
  }

  /**
   * Waits for the next message.
   *
   * @param options `timeoutMs`: how long, in milliseconds. Default: as the messages were asked for
   * @returns `{ value, done: false }`, or `{ done: true }` where the feed has ended in good order or the messages are closed
   * @throws FeedTimeoutError when no message comes in time, with those that came before; FollowError when the response breaks off
   */
  async next(options: TimeLimit = {}): Promise<IteratorResult<FeedMessage<T>, undefined>> {
    const { timeoutMs } = checkOptions('next()', timeLimitRules, { ...options, timeoutMs: options.timeoutMs ?? this.timeoutMs });
    const givesUp = performance.now() + timeoutMs;
    while (!this.isClosed) {
      const value = this.source.take();
      if (value) return { done: false, value: value as FeedMessage<T> };
      const outcome = await within(this.source.more(), Math.max(1, givesUp - performance.now()));
      if (outcome === overdue)
        throw new FeedTimeoutError(`${this.name}: no message within ${timeoutMs} ms. ${this.source.describe()}`, timeoutMs);
      if (!outcome) break;
    }
    return { done: true, value: undefined };
  }

  /** Ends the connection that brings them. There are no more messages then. */
  async close(): Promise<void> {
    this.isClosed = true;
    this.source.close();
  }

  /** What a `for await` loop calls when it is left: closes. */
  async return(): Promise<IteratorResult<FeedMessage<T>, undefined>> {
    await this.close();
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
