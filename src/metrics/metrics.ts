import { Injectable, Optional } from '@nestjs/common';
import { AggregatorRegistry, collectDefaultMetrics, Registry } from 'prom-client';
import { Workers } from '../health/workers.js';
import { FeedMetrics } from './feed.metrics.js';

type MetricObjects = Awaited<ReturnType<Registry['getMetricsAsJSON']>>;

/** The sampling interval of the event loop's delay, in milliseconds, as for the health counts; measured delays include it. */
const eventLoopMonitoringPrecision = 20;

/** Metrics for which prom-client lists all open handles at each scrape: 12 ms for 10,000 sockets. */
const expensive = /^(nodejs_active_|process_open_fds$)/;

/** The metrics of feeds and of the process, in Prometheus's text format. */
@Injectable()
export class Metrics {
  private readonly registry: Registry;

  constructor(
    feeds: FeedMetrics,
    @Optional() private readonly workers?: Workers,
  ) {
    const own = new Registry();
    collectDefaultMetrics({ register: own, eventLoopMonitoringPrecision });
    for (const { name } of own.getMetricsAsArray()) if (expensive.test(name)) own.removeSingleMetric(name);
    this.registry = Registry.merge([feeds.registry, own]);
    if (!workers) return;
    // Each worker has its own series. A sum would fall when a worker is replaced, which Prometheus takes for a counter reset.
    this.registry.setDefaultLabels({ worker: `${workers.number}` });
    workers.handle('metrics', () => this.registry.getMetricsAsJSON());
  }

  /** The metrics of this process. */
  worker(): Promise<string> {
    return this.registry.metrics();
  }

  /** The metrics of all workers that serve one port, each with its number as the label `worker`. One that does not respond is left out. */
  async service(): Promise<string> {
    if (!this.workers) return this.worker();
    const { responses } = await this.workers.query<MetricObjects>('metrics');
    // The labels are distinct, so that there is nothing to aggregate.
    const all = responses.map(({ value }) => value.map((metric) => ({ ...metric, aggregator: 'first' as const })));
    return AggregatorRegistry.aggregate(all).metrics();
  }
}
