import { Injectable } from '@nestjs/common';
import { ModuleRef } from '@nestjs/core';
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { FeedService } from '../feed/feed.service.js';
import { Measures } from '../feed/stats/measures.js';
import { addRuleMetrics } from './rule-metrics.js';
import { addWebhookMetrics } from './webhook-metrics.js';

/** Histogram buckets of the publish duration, in seconds: from the memory broker's microseconds to a server that hardly responds. */
const durationBuckets = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];

/**
 * The counts of `FeedService` as Prometheus metrics, in a registry of their own, which an application can merge with its own:
 * `Registry.merge([yours, feedMetrics.registry])`.
 *
 * All but the publish duration is read at each scrape, so that nothing is counted twice.
 */
@Injectable()
export class FeedMetrics {
  readonly registry = new Registry();
  /** The first metric of the registry: collecting it sets the others as well. */
  private readonly open = new Gauge({
    name: 'feed_connections_open',
    help: 'Connections that are open.',
    registers: [this.registry],
    collect: () => this.read(),
  });
  private readonly peak = this.gauge('feed_connections_peak', 'The highest number of connections that were open at one time.');
  private readonly opened = this.counter('feed_connections_opened_total', 'Connections opened.');
  private readonly closed = this.counter('feed_connections_closed_total', 'Connections that ended, by end reason.', ['reason']);
  private readonly rejected = this.counter('feed_connections_rejected_total', 'Requests for a feed that were rejected, by reason.', [
    'reason',
  ]);
  private readonly handedOver = this.gauge(
    'feed_connections_handed_over',
    "Open connections whose socket was handed over from Node's HTTP stack.",
  );
  private readonly limit = this.gauge('feed_connections_limit', 'The connection limit; missing where there is none.');
  private readonly followed = this.gauge('feed_feeds_followed', 'Feeds with at least one subscriber.');
  private readonly messages = this.counter('feed_messages_sent_total', 'Messages sent, counted once for each connection.');
  private readonly bytes = this.counter('feed_sent_bytes_total', 'Bytes of the messages sent, without HTTP framing.');
  private readonly buffered = this.gauge('feed_buffered_bytes', 'Bytes that are queued for clients.');
  private readonly brokerUp = this.gauge('feed_broker_up', 'Whether the message broker is available (1) or unavailable (0).', ['broker']);
  private readonly history = this.gauge(
    'feed_history_bytes',
    'Bytes of the history in the memory of this process; missing where the server of the broker has it.',
  );
  private readonly nodes = this.gauge('feed_nodes', 'Nodes that share the broker, including this one.');
  private readonly isDraining = this.gauge('feed_draining', 'Whether the process is shutting down (1) or not (0).');

  constructor(
    private readonly feeds: FeedService,
    measures: Measures,
    modules: ModuleRef,
  ) {
    addRuleMetrics(this.registry, measures);
    addWebhookMetrics(this.registry, modules);
    const duration = new Histogram({
      name: 'feed_publish_duration_seconds',
      help: 'Time until the broker confirmed a publish call, to one feed or to many.',
      buckets: durationBuckets,
      registers: [this.registry],
    });
    const failures = this.counter('feed_publish_failures_total', 'Publish calls that the broker did not confirm.');
    feeds.onPublish((ms, isPublished) => {
      if (isPublished) duration.observe(ms / 1000);
      else failures.inc();
    });
  }

  /** Sets all metrics from one call: counting walks over all connections. */
  private read(): void {
    const counts = this.feeds.counts();
    this.open.set(counts.open);
    this.peak.set(counts.peak);
    this.handedOver.set(counts.handedOver);
    this.followed.set(counts.feeds);
    this.buffered.set(counts.bufferedBytes);
    if (counts.limit === null) this.limit.remove();
    else this.limit.set(counts.limit);
    assign(this.opened, counts.opened);
    assign(this.messages, counts.messages);
    assign(this.bytes, counts.bytes);
    assignBy(this.closed, counts.closed);
    assignBy(this.rejected, counts.rejectedBy);
    const { name, unavailableSince, historyBytes } = this.feeds.status.broker;
    if (historyBytes === undefined) this.history.remove();
    else this.history.set(historyBytes);
    this.brokerUp.set({ broker: name }, unavailableSince === undefined ? 1 : 0);
    this.nodes.set(this.feeds.nodeNames().length);
    this.isDraining.set(this.feeds.status.isDraining ? 1 : 0);
  }

  private gauge(name: string, help: string, labelNames: string[] = []): Gauge {
    return new Gauge({ name, help, labelNames, registers: [this.registry] });
  }

  private counter(name: string, help: string, labelNames: string[] = []): Counter {
    return new Counter({ name, help, labelNames, registers: [this.registry] });
  }
}

/** Sets a counter to a total that is counted elsewhere: prom-client's counters can only be incremented. */
function assign(counter: Counter, value: number): void {
  counter.reset();
  counter.inc(value);
}

function assignBy(counter: Counter, values: Record<string, number>): void {
  counter.reset();
  for (const [reason, value] of Object.entries(values)) counter.inc({ reason }, value);
}
