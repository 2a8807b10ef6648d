import { Injectable, Optional } from '@nestjs/common';
import { AggregatorRegistry, collectDefaultMetrics, Registry } from 'prom-client';
import { Workers } from '../health/workers.js';
import { FeedMetrics } from './feed.metrics.js';

type Collected = Awaited<ReturnType<Registry['getMetricsAsJSON']>>;

/** How often the event loop's delay is sampled, in milliseconds; what is measured includes it. As for the health counts. */
const eventLoopMonitoringPrecision = 20;

/** What prom-client finds by a list of everything that is open: 12 ms for 10,000 sockets, at each scrape. */
const tooDear = /^(nodejs_active_|process_open_fds$)/;

/** The metrics of feeds and of the process, as Prometheus reads them. */
@Injectable()
export class Metrics {
  private readonly registry: Registry;

  constructor(
    feeds: FeedMetrics,
    @Optional() private readonly workers?: Workers,
  ) {
    const own = new Registry();
    collectDefaultMetrics({ register: own, eventLoopMonitoringPrecision });
    for (const { name } of own.getMetricsAsArray()) if (tooDear.test(name)) own.removeSingleMetric(name);
    this.registry = Registry.merge([feeds.registry, own]);
    if (!workers) return;
    // Apart, since a sum would fall when a process takes another's place, and Prometheus takes that for as many new events.
    this.registry.setDefaultLabels({ worker: `${workers.number}` });
    workers.answer('metrics', () => this.registry.getMetricsAsJSON());
  }

  /** This process's. */
  worker(): Promise<string> {
    return this.registry.metrics();
  }

  /** Those of all processes that serve one port, each with its number as the label `worker`; one that does not answer is left out. */
  async service(): Promise<string> {
    if (!this.workers) return this.worker();
    const { answers } = await this.workers.ask<Collected>('metrics');
    // The label keeps their values apart: no two are put together, whatever prom-client would do with them.
    const all = answers.map(({ answer }) => answer.map((metric) => ({ ...metric, aggregator: 'first' as const })));
    return AggregatorRegistry.aggregate(all).metrics();
  }
}
