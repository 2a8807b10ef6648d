import { Injectable } from '@nestjs/common';
import { type HealthIndicatorResult, HealthIndicatorService } from '@nestjs/terminus';
import { FeedService } from '../feed/feed.service.js';

/** The part of the connection limit from which on the service is not ready for more. */
const nearLimit = 0.95;

/** Terminus indicators for feeds and for their broker; for the application's own health check, too. */
@Injectable()
export class FeedHealthIndicator {
  constructor(
    private readonly indicators: HealthIndicatorService,
    private readonly feeds: FeedService,
  ) {}

  /**
   * @param key the name in the check's response
   * @returns up, or down while the service drains and while 95 % of the connection limit or more are open
   */
  isHealthy<Key extends string>(key: Key): HealthIndicatorResult<Key> {
    const { open, limit, isDraining } = this.feeds.status;
    const indicator = this.indicators.check(key);
    const details = { open, limit: Number.isFinite(limit) ? limit : null };
    if (isDraining) return indicator.down({ ...details, message: 'draining' });
    if (open >= Math.ceil(limit * nearLimit)) return indicator.down({ ...details, message: 'near the limit' });
    return indicator.up(details);
  }

  /**
   * @param key the name in the check's response
   * @returns always up, since restarting the process would not help, and open feeds and sources continue; `state` is `ok`, or `degraded` while
   * the broker is unavailable, or slow
   */
  broker<Key extends string>(key: Key): HealthIndicatorResult<Key> {
    const { name, unavailableSince, slowSince } = this.feeds.status.broker;
    const indicator = this.indicators.check(key);
    const degraded = { state: 'degraded', broker: name };
    if (unavailableSince !== undefined) {
      const message = 'The message broker is unavailable: publishing and resuming are rejected, open feeds continue';
      return indicator.up({ ...degraded, unavailableSince: new Date(unavailableSince).toISOString(), message });
    }
    if (slowSince !== undefined) {
      const message = 'The message broker is slow: new connections are admitted as fast as it takes them, open feeds continue';
      return indicator.up({ ...degraded, slowSince: new Date(slowSince).toISOString(), message });
    }
    return indicator.up({ state: 'ok', broker: name });
  }
}
