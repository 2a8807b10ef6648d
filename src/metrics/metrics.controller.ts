import { Controller, Get, Query, Res } from '@nestjs/common';
import { Registry } from 'prom-client';
import { MetricsScopeException } from './metrics.errors.js';
import { Metrics } from './metrics.js';

/** A response of Express or Fastify. */
interface WithHeader {
  header(name: string, value: string): unknown;
}

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
  get(@Res({ passthrough: true }) response: WithHeader, @Query('scope') scope: unknown = 'service'): Promise<string> {
    if (scope !== 'worker' && scope !== 'service') throw new MetricsScopeException();
    // Not `@Header()`, which the refusal, JSON, would have as well: Nest warns of that.
    response.header('Content-Type', Registry.PROMETHEUS_CONTENT_TYPE);
    return this.metrics[scope]();
  }
}
