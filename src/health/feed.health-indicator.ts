import { Injectable } from '@nestjs/common';
import { type HealthIndicatorResult, HealthIndicatorService } from '@nestjs/terminus';
import { FeedService } from '../feed/feed.service.js';

/** The part of the limit from which on a service asks for no more connections. */
const nearLimit = 0.95;

/** Tells terminus whether feeds can take more connections; for the application's own health check, too. */
@Injectable()
export class FeedHealthIndicator {
  constructor(
    private readonly indicators: HealthIndicatorService,
    private readonly feeds: FeedService,
  ) {}

  /**
   * @param key the name in the check's answer
   * @returns up, or down while the service drains and while 95 % of the limit or more are open
   */
  isHealthy<Key extends string>(key: Key): HealthIndicatorResult<Key> {
    const { open, limit, isDraining } = this.feeds.status;
    const indicator = this.indicators.check(key);
    const known = { open, limit: Number.isFinite(limit) ? limit : null };
    if (isDraining) return indicator.down({ ...known, message: 'draining' });
    if (open >= Math.ceil(limit * nearLimit)) return indicator.down({ ...known, message: 'near the limit' });
    return indicator.up(known);
  }

  /**
   * @param key the name in the check's answer
   * @returns always up, since another process would not be better off, and open feeds and sources go on; `state` says whether the broker's
   * engine is there (`ok`) or away (`degraded`)
   */
  broker<Key extends string>(key: Key): HealthIndicatorResult<Key> {
    const { name, unavailableSince } = this.feeds.status.broker;
    const indicator = this.indicators.check(key);
    if (unavailableSince === undefined) return indicator.up({ state: 'ok', broker: name });
    const message = 'away: what is published is refused, and so is whoever comes to follow only that; feeds that are open go on';
    return indicator.up({ state: 'degraded', broker: name, unavailableSince: new Date(unavailableSince).toISOString(), message });
  }
}
