import { Module } from '@nestjs/common';
import { FeedMetrics } from './feed.metrics.js';
import { MetricsController } from './metrics.controller.js';
import { Metrics } from './metrics.js';

/**
 * `GET /metrics` for Prometheus, for an application that imports `FeedModule`: the metrics of feeds, and prom-client's default metrics. If
 * yours has such a route already, provide `FeedMetrics` instead: it needs `FeedModule`.
 */
@Module({
  controllers: [MetricsController],
  providers: [FeedMetrics, Metrics],
  exports: [FeedMetrics],
})
export class MetricsModule {}
