import { Injectable } from '@nestjs/common';
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { FeedService } from '../feed/feed.service.js';

/** What a publish may take, in seconds: from memory's microseconds to an engine that hardly answers. */
const durations = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];

/**
 * What `FeedService` knows, as Prometheus's metrics, in a registry of their own; for an application that has metrics already, too:
 * `Registry.merge([yours, feedMetrics.registry])`.
 *
 * All but the duration of publishing is read when the registry is: until then nothing is counted that would not be anyway.
 */
@Injectable()
export class FeedMetrics {
  readonly registry = new Registry();
  /** The first, so that it is asked first: it reads the others as well. */
  private readonly open = new Gauge({
    name: 'feed_connections_open',
    help: 'Connections open now.',
    registers: [this.registry],
    collect: () => this.read(),
  });
  private readonly peak = this.gauge('feed_connections_peak', 'The most connections that were open at one time.');
  private readonly opened = this.counter('feed_connections_opened_total', 'Connections that were ever opened.');
  private readonly closed = this.counter('feed_connections_closed_total', 'Connections that ended, by reason.', ['reason']);
  private readonly rejected = this.counter('feed_connections_rejected_total', 'Requests for a feed that were refused, by reason.', [
    'reason',
  ]);
  private readonly handedOver = this.gauge(
    'feed_connections_handed_over',
    "Open connections whose socket was taken out of Node's HTTP stack.",
  );
  private readonly limit = this.gauge('feed_connections_limit', 'The most connections that may be open; missing where there is no limit.');
  private readonly followed = this.gauge('feed_feeds_followed', 'Feeds that somebody follows.');
  private readonly messages = this.counter('feed_messages_sent_total', 'Messages written, counted once for each connection.');
  private readonly bytes = this.counter('feed_sent_bytes_total', "Bytes of those messages, without HTTP's framing.");
  private readonly buffered = this.gauge('feed_buffered_bytes', 'Bytes that wait for clients to read.');
  private readonly brokerUp = this.gauge('feed_broker_up', "Whether what keeps the feeds' messages is there (1) or away (0).", ['broker']);
  private readonly nodes = this.gauge('feed_nodes', 'Processes that share the broker, this one among them.');
  private readonly isDraining = this.gauge('feed_draining', 'Whether the process shuts down (1).');

  constructor(private readonly feeds: FeedService) {
    const duration = new Histogram({
      name: 'feed_publish_duration_seconds',
      help: 'How long it took until the broker had what was published at once, to one feed or to many.',
      buckets: durations,
      registers: [this.registry],
    });
    const failures = this.counter('feed_publish_failures_total', 'What was published and the broker did not take.');
    feeds.onPublish((ms, isPublished) => {
      if (isPublished) duration.observe(ms / 1000);
      else failures.inc();
    });
  }

  /** Reads all at once: some of it takes a walk over all connections. */
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
    const { name, unavailableSince } = this.feeds.status.broker;
    this.brokerUp.set({ broker: name }, unavailableSince === undefined ? 1 : 0);
    this.nodes.set(this.feeds.cluster().length);
    this.isDraining.set(this.feeds.status.isDraining ? 1 : 0);
  }

  private gauge(name: string, help: string, labelNames: string[] = []): Gauge {
    return new Gauge({ name, help, labelNames, registers: [this.registry] });
  }

  private counter(name: string, help: string, labelNames: string[] = []): Counter {
    return new Counter({ name, help, labelNames, registers: [this.registry] });
  }
}

/** A counter that another has counted: prom-client's can only grow by themselves. */
function assign(counter: Counter, value: number): void {
  counter.reset();
  counter.inc(value);
}

function assignBy(counter: Counter, values: Record<string, number>): void {
  counter.reset();
  for (const [reason, value] of Object.entries(values)) counter.inc({ reason }, value);
}
