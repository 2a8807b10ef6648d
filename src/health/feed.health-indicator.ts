import { Injectable } from '@nestjs/common';
import { type HealthIndicatorResult, HealthIndicatorService } from '@nestjs/terminus';
import { FeedService } from '../feed/feed.service.js';

/** The part of the limit above which a service asks for no more connections. */
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
   * @returns up, or down while the service drains and while more than 95 % of the limit are open
   */
  isHealthy<Key extends string>(key: Key): HealthIndicatorResult<Key> {
    const { open, limit, isDraining } = this.feeds;
    const indicator = this.indicators.check(key);
    const known = { open, limit: Number.isFinite(limit) ? limit : null };
    if (isDraining) return indicator.down({ ...known, message: 'draining' });
    if (open >= Math.ceil(limit * nearLimit)) return indicator.down({ ...known, message: 'near the limit' });
    return indicator.up(known);
  }
}
