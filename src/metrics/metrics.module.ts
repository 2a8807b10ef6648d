import { Module } from '@nestjs/common';
import { FeedMetrics } from './feed.metrics.js';
import { MetricsController } from './metrics.controller.js';
import { Metrics } from './metrics.js';

/**
 * `GET /metrics` for Prometheus, for an application that imports `FeedModule`: feeds, and the process as prom-client knows it. One
 * that has such a route takes `FeedMetrics` alone: it is a provider that needs `FeedModule`.
 */
@Module({
  controllers: [MetricsController],
  providers: [FeedMetrics, Metrics],
  exports: [FeedMetrics],
})
export class MetricsModule {}
