import { Module } from '@nestjs/common';
import { TerminusModule } from '@nestjs/terminus';
import { ConnectionCounts } from './connection-counts.js';
import { FeedHealthIndicator } from './feed.health-indicator.js';
import { HealthController } from './health.controller.js';
import { ProcessHealth } from './process-health.js';

/**
 * Health routes at `/health`, for an application that imports `FeedModule`. If yours has a health check already, provide
 * `FeedHealthIndicator` instead: it needs `TerminusModule` and `FeedModule`.
 */
@Module({
  imports: [TerminusModule],
  controllers: [HealthController],
  providers: [FeedHealthIndicator, ProcessHealth, ConnectionCounts],
  exports: [FeedHealthIndicator, ConnectionCounts],
})
export class HealthModule {}
