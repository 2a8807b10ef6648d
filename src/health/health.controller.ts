import { Controller, Get, Query } from '@nestjs/common';
import { HealthCheck, type HealthCheckResult, HealthCheckService } from '@nestjs/terminus';
import type { FeedCount } from '../feed/feed.counts.js';
import { FeedService } from '../feed/feed.service.js';
import { FeedHealthIndicator } from './feed.health-indicator.js';
import { type ProcessCounts, ProcessHealth } from './process-health.js';

/** What probes and people ask the service. */
@Controller('health')
export class HealthController {
  constructor(
    private readonly health: HealthCheckService,
    private readonly indicator: FeedHealthIndicator,
    private readonly feeds: FeedService,
    private readonly process: ProcessHealth,
  ) {}

  /** The whole check: 200, or 503 while something is down. */
  @Get()
  @HealthCheck()
  check(): Promise<HealthCheckResult> {
    return this.health.check([() => this.indicator.isHealthy('feeds')]);
  }

  /** Whether the process can answer at all. */
  @Get('live')
  @HealthCheck()
  live(): Promise<HealthCheckResult> {
    return this.health.check([]);
  }

  /** Whether to send new connections here: 503 while draining or near the limit. */
  @Get('ready')
  @HealthCheck()
  ready(): Promise<HealthCheckResult> {
    return this.health.check([() => this.indicator.isHealthy('feeds')]);
  }

  /** The counts, of all feeds or of one. */
  @Get('connections')
  connections(@Query('id') id?: string): FeedCount | (ReturnType<FeedService['counts']> & ProcessCounts) {
    return id !== undefined ? this.feeds.count(id) : { ...this.feeds.counts(), ...this.process.counts() };
  }
}
