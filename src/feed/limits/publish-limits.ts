import { FeedException } from '../errors/feed-exception.js';
import type { FeedRequest } from '../http/feed-request.js';
import { RateLimit } from '../time/rate-limit.js';
import type { Admission } from './admission.js';
import type { ResolvedLimitOptions } from './limit.options.js';

const minuteMs = 60_000;

/** Limits how many messages a minute are published over HTTP with one publish key, and by each other client. */
export class PublishLimits {
  private readonly keys: RateLimit;
  private readonly clients: RateLimit;

  /** @param now the time in milliseconds; it never goes back */
  constructor(
    options: Pick<ResolvedLimitOptions, 'publishRatePerClient' | 'publishRatePerKey'>,
    private readonly admission: Admission,
    now?: () => number,
  ) {
    this.keys = new RateLimit(options.publishRatePerKey, minuteMs, now);
    this.clients = new RateLimit(options.publishRatePerClient, minuteMs, now);
  }

  /**
   * Checks that a request may publish a message, before its body is read. Nothing is noted yet.
   *
   * @throws FeedException FEED_TOO_MANY (429)
   */
  check(request: FeedRequest): void {
    this.admit(request, 1);
  }

  /**
   * Notes that a request publishes messages, all of them or none.
   *
   * @throws FeedException FEED_TOO_MANY (429); FEED_MESSAGE (400) for more messages than the limit ever allows at once
   */
  take(request: FeedRequest, messages = 1): void {
    this.admit(request, messages)?.take(publisherOf(request, this.admission), messages);
  }

  /** The limit that a request keeps to; undefined where it has none. */
  private admit(request: FeedRequest, messages: number): RateLimit | undefined {
    const hasKey = request.grant?.bearer.key !== undefined;
    const limit = hasKey ? this.keys : this.clients;
    const { rate } = limit;
    if (rate === Number.POSITIVE_INFINITY) return undefined;
    const publisher = publisherOf(request, this.admission);
    if (!limit.isExceeded(publisher, messages)) return limit;
    const rule = `${hasKey ? 'A publish key' : 'A client'} may publish ${rate} messages a minute`;
    if (messages > rate) throw new FeedException('FEED_MESSAGE', { message: `${rule}: no request can publish ${messages} at once.` });
    this.admission.count('publishRate');
    throw new FeedException('FEED_TOO_MANY', { message: `${rule}.`, retryAfter: limit.retryAfter(publisher, messages) });
  }
}

function publisherOf(request: FeedRequest, admission: Admission): string {
  return request.grant?.bearer.key ?? admission.keyOf(request);
}
