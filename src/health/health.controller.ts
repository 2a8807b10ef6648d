import { Controller, Get, Header, Query, SetMetadata, UseGuards } from '@nestjs/common';
import { HealthCheck, type HealthCheckResult, HealthCheckService } from '@nestjs/terminus';
import { FeedException } from '../feed/errors/feed-exception.js';
import type { NamedFeeds } from '../feed/http/feed-request.js';
import { NAMED_FEEDS } from '../feed/http/feed-routes.js';
import { DocumentedQuery } from '../feed/http/openapi.js';
import type { FeedCount } from '../feed/stats/counts.js';
import { type ClusterCounts, type ClusterFeedCount, ConnectionCounts, type ServiceCounts, type WorkerCounts } from './connection-counts.js';
import { FeedHealthIndicator } from './feed.health-indicator.js';
import { FeedCountGuard } from './feed-count.guard.js';

/** Health checks for probes, and the counts of connections. */
@Controller('health')
export class HealthController {
  constructor(
    private readonly health: HealthCheckService,
    private readonly indicator: FeedHealthIndicator,
    private readonly counts: ConnectionCounts,
  ) {}

  /** Readiness: 200, or 503 while the service drains or is near its connection limit. */
  @Get(['', 'ready'])
  @HealthCheck()
  ready(): Promise<HealthCheckResult> {
    return this.health.check([() => this.indicator.isHealthy('feeds'), () => this.indicator.broker('broker')]);
  }

  /**
   * Liveness: 200 whenever the process can respond. Terminus is not asked, since its checks fail from the beginning of the shutdown on: an
   * orchestrator would kill a process that is still draining.
   */
  @Get('live')
  @Header('Cache-Control', 'no-cache, no-store, must-revalidate')
  live(): HealthCheckResult {
    return { status: 'ok', info: {}, error: {}, details: {} };
  }

  /**
   * The counts of all feeds, or of one. Those of one need the authorization that reading it needs.
   *
   * @throws FeedException HEALTH_SCOPE (400) for an unknown scope, and for several ids; what `FeedCountGuard` fails with
   */
  @Get('connections')
  @UseGuards(FeedCountGuard)
  @SetMetadata(NAMED_FEEDS, ((request) => request.query.getAll('id')) satisfies NamedFeeds)
  @DocumentedQuery('id', 'scope')
  async connections(
    @Query('id') id?: unknown,
    @Query('scope') scope: unknown = 'service',
  ): Promise<FeedCount | WorkerCounts | ServiceCounts | ClusterCounts | ClusterFeedCount> {
    if (id !== undefined && typeof id !== 'string')
      throw new FeedException('HEALTH_SCOPE', { message: 'Name one id, or none for the counts of all feeds.' });
    switch (scope) {
      case 'worker':
        return id === undefined ? this.counts.worker() : this.counts.workerFeed(id);
      case 'service':
        return id === undefined ? this.counts.service() : this.counts.serviceFeed(id);
      case 'cluster':
        return id === undefined ? this.counts.cluster() : this.counts.clusterFeed(id);
      default:
        throw new FeedException('HEALTH_SCOPE');
    }
  }
}
