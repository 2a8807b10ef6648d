import { Controller, Get, Header, Query } from '@nestjs/common';
import { Registry } from 'prom-client';
import { MetricsScopeException } from './metrics.errors.js';
import { Metrics } from './metrics.js';

/** What Prometheus asks. */
@Controller('metrics')
export class MetricsController {
  constructor(private readonly metrics: Metrics) {}

  /**
   * The metrics of this process, or of all that serve its port.
   *
   * @throws MetricsScopeException (400) for a scope that there is not
   */
  @Get()
  @Header('Content-Type', Registry.PROMETHEUS_CONTENT_TYPE)
  get(@Query('scope') scope: unknown = 'service'): Promise<string> {
    if (scope === 'worker' || scope === 'service') return this.metrics[scope]();
    throw new MetricsScopeException();
  }
}
