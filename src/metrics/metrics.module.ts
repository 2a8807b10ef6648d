import { type DynamicModule, Module } from '@nestjs/common';
import { decorated } from '../feed/http/decorated.js';
import { FeedMetrics } from './feed.metrics.js';
import { MetricsController } from './metrics.controller.js';
import { Metrics } from './metrics.js';

const parts = {
  providers: [FeedMetrics, Metrics],
  exports: [FeedMetrics],
};

/**
 * `GET /metrics` for Prometheus, for an application that imports `FeedModule`: the metrics of feeds, and prom-client's default metrics. If
 * yours has such a route already, provide `FeedMetrics` instead: it needs `FeedModule`.
 */
@Module({ ...parts, controllers: [MetricsController] })
export class MetricsModule {
  /** @param decorators put on the module's controller, such as the one with which your global guard knows public routes. Default: `[]` */
  static forRoot({ decorators = [] }: { decorators?: readonly ClassDecorator[] } = {}): DynamicModule {
    return { module: DecoratedMetricsModule, ...parts, controllers: [decorated(MetricsController, decorators)] };
  }
}

/** `MetricsModule` has its own controller already. */
class DecoratedMetricsModule {}
