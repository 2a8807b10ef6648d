import { Controller, Get, Header, Query } from '@nestjs/common';
import { HealthCheck, type HealthCheckResult, HealthCheckService } from '@nestjs/terminus';
import type { FeedCount } from '../feed/stats/counts.js';
import { type ClusterCounts, ConnectionCounts, type ServiceCounts, type WorkerCounts } from './connection-counts.js';
import { FeedHealthIndicator } from './feed.health-indicator.js';
import { HealthScopeException, scopeRule } from './scope.js';

/** What probes and people ask the service. */
@Controller('health')
export class HealthController {
  constructor(
    private readonly health: HealthCheckService,
    private readonly indicator: FeedHealthIndicator,
    private readonly counts: ConnectionCounts,
  ) {}

  /** The whole check: 200, or 503 while something is down. */
  @Get()
  @HealthCheck()
  check(): Promise<HealthCheckResult> {
    return this.health.check([() => this.indicator.isHealthy('feeds'), () => this.indicator.broker('broker')]);
  }

  /**
   * Whether the process can answer at all. It is not terminus that says so: its checks fail from the shutdown's first moment on, and whoever
   * asks this would end a process that is just draining.
   */
  @Get('live')
  @Header('Cache-Control', 'no-cache, no-store, must-revalidate')
  live(): HealthCheckResult {
    return { status: 'ok', info: {}, error: {}, details: {} };
  }

  /** Whether to send new connections here: 503 while draining or near the limit. */
  @Get('ready')
  @HealthCheck()
  ready(): Promise<HealthCheckResult> {
    return this.health.check([() => this.indicator.isHealthy('feeds'), () => this.indicator.broker('broker')]);
  }

  /**
   * The counts, of all feeds or of one.
   *
   * @throws HealthScopeException (400) for a scope that there is not, and for several ids
   */
  @Get('connections')
  async connections(
    @Query('id') id?: unknown,
    @Query('scope') scope: unknown = 'service',
  ): Promise<FeedCount | WorkerCounts | ServiceCounts | ClusterCounts> {
    if (id !== undefined && typeof id !== 'string') throw new HealthScopeException('Ask for the counts of one id, or of all feeds.');
    switch (scope) {
      case 'worker':
        return id === undefined ? this.counts.worker() : this.counts.workerFeed(id);
      case 'service':
        return id === undefined ? this.counts.service() : this.counts.serviceFeed(id);
      case 'cluster':
        if (id === undefined) return this.counts.cluster();
        throw new HealthScopeException('With an id, scope is worker or service: the nodes of a cluster tell no counts of single feeds.');
      default:
        throw new HealthScopeException(scopeRule);
    }
  }
}
