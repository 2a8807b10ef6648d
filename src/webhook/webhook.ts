import { randomUUID } from 'node:crypto';
import { Logger } from '@nestjs/common';
import type { Observable, Subscription } from 'rxjs';
import { errorText } from '../feed/errors/error-text.js';
import type { FeedEvent } from '../feed/stats/events.js';
import { backoff } from '../feed/time/backoff.js';
import { BoundedQueue } from './bounded-queue.js';
import { signedHeaders } from './signature.js';
import { type Failure, Target } from './target.js';
import { type ResolvedWebhookOptions, resolveWebhookOptions, type WebhookOptions } from './webhook.options.js';

/** The body of a request, as JSON. */
export interface WebhookBody {
  /** In the order in which they happened. */
  events: FeedEvent[];
  /** How many events between those of the previous request and these were dropped; missing where none were. */
  dropped?: number;
}

/** The webhook's counts since the process started. */
export interface WebhookCounts {
  /** Events that the target accepted. */
  sent: number;
  /** Events that were dropped because the queue was full, or because the target kept rejecting them. */
  dropped: number;
  /** Events that are not sent yet, including those of the current request. */
  waiting: number;
  /** Requests that failed. */
  failures: number;
}

/** Gets the changes of a webhook's state, each one once, however many events and requests there are. */
export interface WebhookListener {
  /** A request failed after one that succeeded. */
  onFailure(target: string, reason: string): void;
  /** A request succeeded after one that failed. */
  onRecovery(target: string, counts: WebhookCounts): void;
  /** The webhook was closed before all events were sent. */
  onLoss(target: string, counts: WebhookCounts): void;
}

/**
 * Posts events to a URL: in order, several in a request, one request at a time, signed according to Standard Webhooks.
 *
 * Events arrive at least once, unless they are dropped: a request is repeated with the same `webhook-id` until its response has a 2xx status.
 * Meanwhile events wait in a queue of bounded length, and the feeds go on. A request that is rejected as often as `maxRejections` allows is dropped,
 * so that it does not block the next ones.
 */
export class Webhook {
  private readonly logger = new Logger(Webhook.name);
  private readonly options: ResolvedWebhookOptions;
  private readonly target: Target;
  private readonly queue: BoundedQueue<FeedEvent>;
  private readonly subscription: Subscription;
  /** Runs while there are events. */
  private delivery: Promise<void> | undefined;
  /** The number of events in the current request. */
  private inRequest = 0;
  private sent = 0;
  private dropped = 0;
  /** How many of the dropped events have been reported to the target. */
  private droppedReported = 0;
  private failures = 0;
  /** Whether the last request failed. */
  isFailing = false;
  private isClosing = false;
  private isClosed = false;
  /** Ends the current delay of the delivery. */
  private wake = () => {};

  /**
   * @param events$ subscribed at once, until `close()`
   * @throws FeedOptionsError naming the option, its value (unless that is secret) and what is allowed
   */
  constructor(
    events$: Observable<FeedEvent>,
    options: WebhookOptions,
    private readonly listener?: WebhookListener,
  ) {
    this.options = resolveWebhookOptions(options);
    this.target = new Target(this.options.url, this.options.timeoutMs);
    this.queue = new BoundedQueue(this.options.queueLength);
    this.subscription = events$.subscribe((event) => this.add(event));
  }

  /** The URL of its target, without credentials and query. */
  get targetName(): string {
    return this.target.name;
  }

  counts(): WebhookCounts {
    const { sent, dropped, failures } = this;
    return { sent, dropped, waiting: this.inRequest + this.queue.length, failures };
  }

  /** Stops taking events, and resolves when the remaining ones are sent, or after `flushMs`. Failed requests are retried without back-off. */
  async close(): Promise<void> {
    this.subscription.unsubscribe();
    this.isClosing = true;
    this.wake();
    // The only timer here that keeps the process alive.
    const timer = setTimeout(() => this.end(), this.options.flushMs);
    await this.delivery;
    clearTimeout(timer);
    this.end();
  }

  private add(event: FeedEvent): void {
    if (this.queue.push(event)) this.dropped += 1;
    this.delivery ??= this.deliver();
  }

  private async deliver(): Promise<void> {
    const { batchLength, batchMs } = this.options;
    while (this.queue.length > 0 && !this.isClosed) {
      if (this.queue.length < batchLength && !this.isClosing) await this.delay(batchMs);
      await this.send(this.queue.take(batchLength));
    }
    this.delivery = undefined;
  }

  private async send(events: FeedEvent[]): Promise<void> {
    const { secret, retryMs, maxRetryMs, maxRejections } = this.options;
    const { droppedReported } = this;
    let rejections = 0;
    const id = `msg_${randomUUID()}`;
    const body = JSON.stringify({ events, dropped: this.dropped - this.droppedReported || undefined } satisfies WebhookBody);
    this.droppedReported = this.dropped;
    this.inRequest = events.length;
    for (let retry = 0; !this.isClosed; retry += 1) {
      const failure = await this.target.post(body, signedHeaders(secret, id, body));
      if (!failure) return this.succeed();
      if (this.isClosed) return;
      this.fail(failure);
      if (failure.isRejection) rejections += 1;
      if (failure.isRejection && rejections === maxRejections && !this.isClosing) return this.drop(droppedReported);
      const delay = backoff(this.isClosing ? 0 : retry, { minMs: retryMs, maxMs: maxRetryMs });
      await this.delay(Math.max(failure.retryAfterMs, delay));
    }
  }

  private succeed(): void {
    this.sent += this.inRequest;
    this.inRequest = 0;
    if (!this.isFailing) return;
    this.isFailing = false;
    this.notify((listener) => listener.onRecovery(this.target.name, this.counts()));
  }

  /** @param droppedReported what had been reported before the request that the target has never accepted */
  private drop(droppedReported: number): void {
    this.dropped += this.inRequest;
    this.droppedReported = droppedReported;
    this.inRequest = 0;
  }

  private fail({ reason }: Failure): void {
    this.failures += 1;
    if (this.isFailing) return;
    this.isFailing = true;
    this.notify((listener) => listener.onFailure(this.target.name, reason));
  }

  private end(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.target.destroy();
    this.wake();
    const counts = this.counts();
    if (counts.waiting > 0) this.notify((listener) => listener.onLoss(this.target.name, counts));
  }

  /** Calls the listener. Its errors, also those of a promise that it returns, are logged and do not stop the delivery. */
  private notify(call: (listener: WebhookListener) => unknown): void {
    const { listener } = this;
    if (!listener) return;
    const run = async () => call(listener);
    run().catch((error) => this.logger.error(`The webhook's listener failed: ${errorText(error)}`));
  }

  private delay(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms).unref();
      this.wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
