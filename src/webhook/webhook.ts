import { randomUUID } from 'node:crypto';
import type { Observable, Subscription } from 'rxjs';
import type { FeedEvent } from '../feed/stats/events.js';
import { BoundedQueue } from './bounded-queue.js';
import { backoff } from './retry.js';
import { signedHeaders } from './signature.js';
import { type Failure, Target } from './target.js';
import { type ResolvedWebhookOptions, resolveWebhookOptions, type WebhookOptions } from './webhook.options.js';

/** The body of a request, as JSON. */
export interface WebhookBody {
  /** In the order in which they happened. */
  events: FeedEvent[];
  /** How many events between those of the request before and these were dropped. Not there: none. */
  dropped?: number;
}

/** What became of the events since the process started. */
export interface WebhookCounts {
  /** Events that the target took. */
  sent: number;
  /** Events that were dropped because too many waited, or the target refused them again and again. */
  dropped: number;
  /** Events that are yet to be sent, those of the request under way included. */
  waiting: number;
  /** Requests that failed. */
  failures: number;
}

/** Is told how a webhook fares: once when that changes, however many events and requests there are. */
export interface WebhookWatch {
  /** A request failed, and the one before it had not. */
  failing(target: string, reason: string): void;
  /** A request was taken, and the one before it had failed. */
  working(target: string, counts: WebhookCounts): void;
  /** The webhook was closed before the target took everything. */
  gaveUp(target: string, counts: WebhookCounts): void;
}

/**
 * Posts events to a URL: in order, several in a request, one request at a time, signed as Standard Webhooks says.
 *
 * Events arrive at least once, unless they are dropped: a request is sent again, with the same `webhook-id`, until it is answered
 * with 2xx, also where the target took it and its answer was lost. Meanwhile events wait in a queue of bounded length, and
 * nobody waits for the webhook. A request that is refused as often as `refusals` says is dropped, so that it does not hold up all others.
 */
export class Webhook {
  private readonly options: ResolvedWebhookOptions;
  private readonly target: Target;
  private readonly queue: BoundedQueue<FeedEvent>;
  private readonly subscription: Subscription;
  /** Runs while there are events. */
  private delivery: Promise<void> | undefined;
  /** Events of the request under way. */
  private underWay = 0;
  private sent = 0;
  private dropped = 0;
  /** How many of the dropped events the target has been told of. */
  private droppedTold = 0;
  private failures = 0;
  private isFailing = false;
  private isClosing = false;
  private isClosed = false;
  /** Ends the pause that the delivery makes, if it makes one. */
  private wake = () => {};

  /**
   * @param events$ subscribed at once, until `close()`
   * @throws WebhookOptionsError naming the option, what it was (but for secrets) and what is allowed
   */
  constructor(
    events$: Observable<FeedEvent>,
    options: WebhookOptions,
    private readonly watch?: WebhookWatch,
  ) {
    this.options = resolveWebhookOptions(options);
    this.target = new Target(this.options.url, this.options.timeoutMs);
    this.queue = new BoundedQueue(this.options.queueLength);
    this.subscription = events$.subscribe((event) => this.add(event));
  }

  counts(): WebhookCounts {
    const { sent, dropped, failures } = this;
    return { sent, dropped, waiting: this.underWay + this.queue.length, failures };
  }

  /** Takes no further events, and waits until those there are were sent, `flushMs` at most; what fails is tried again at once. */
  async close(): Promise<void> {
    this.subscription.unsubscribe();
    this.isClosing = true;
    this.wake();
    // The only timer here that keeps the process alive.
    const timer = setTimeout(() => this.giveUp(), this.options.flushMs);
    await this.delivery;
    clearTimeout(timer);
    this.giveUp();
  }

  private add(event: FeedEvent): void {
    if (this.queue.push(event)) this.dropped += 1;
    this.delivery ??= this.deliver();
  }

  private async deliver(): Promise<void> {
    const { batchLength, batchMs } = this.options;
    while (this.queue.length > 0 && !this.isClosed) {
      if (this.queue.length < batchLength && !this.isClosing) await this.pause(batchMs);
      await this.send(this.queue.take(batchLength));
    }
    this.delivery = undefined;
  }

  private async send(events: FeedEvent[]): Promise<void> {
    const { secret, retryMs, maxRetryMs, refusals } = this.options;
    const { droppedTold } = this;
    let refused = 0;
    const id = `msg_${randomUUID()}`;
    const body = JSON.stringify({ events, dropped: this.dropped - this.droppedTold || undefined } satisfies WebhookBody);
    this.droppedTold = this.dropped;
    this.underWay = events.length;
    for (let retry = 0; !this.isClosed; retry += 1) {
      const failure = await this.target.post(body, signedHeaders(secret, id, body));
      if (!failure) return this.succeed();
      if (this.isClosed) return;
      this.fail(failure);
      if (failure.isRefusal) refused += 1;
      if (failure.isRefusal && refused === refusals && !this.isClosing) return this.drop(droppedTold);
      await this.pause(Math.max(failure.retryAfterMs, backoff(this.isClosing ? 0 : retry, retryMs, maxRetryMs)));
    }
  }

  private succeed(): void {
    this.sent += this.underWay;
    this.underWay = 0;
    if (!this.isFailing) return;
    this.isFailing = false;
    this.watch?.working(this.target.name, this.counts());
  }

  /** @param droppedTold what the target knew before the request that it has never taken */
  private drop(droppedTold: number): void {
    this.dropped += this.underWay;
    this.droppedTold = droppedTold;
    this.underWay = 0;
  }

  private fail({ reason }: Failure): void {
    this.failures += 1;
    if (this.isFailing) return;
    this.isFailing = true;
    this.watch?.failing(this.target.name, reason);
  }

  private giveUp(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.target.destroy();
    this.wake();
    const counts = this.counts();
    if (counts.waiting > 0) this.watch?.gaveUp(this.target.name, counts);
  }

  private pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms).unref();
      this.wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
