import { Controller, Get, Query, Res } from '@nestjs/common';
import { Registry } from 'prom-client';
import { FeedException } from '../feed/errors/feed-exception.js';
import { DocumentedQuery } from '../feed/http/openapi.js';
import { Metrics } from './metrics.js';

/** A response of Express or Fastify. */
interface WithHeader {
  header(name: string, value: string): unknown;
}

/** The route that Prometheus scrapes. */
@Controller('metrics')
export class MetricsController {
  constructor(private readonly metrics: Metrics) {}

  /**
   * The metrics of this process, or of all workers that serve its port.
   *
   * @throws FeedException METRICS_SCOPE (400) for an unknown scope
   */
  @Get()
  @DocumentedQuery('scope')
  get(@Res({ passthrough: true }) response: WithHeader, @Query('scope') scope: unknown = 'service'): Promise<string> {
    if (scope !== 'worker' && scope !== 'service') throw new FeedException('METRICS_SCOPE');
    // `@Header()` would apply to the JSON of an error as well, of which Nest warns.
    response.header('Content-Type', Registry.PROMETHEUS_CONTENT_TYPE);
    return this.metrics[scope]();
  }
}
