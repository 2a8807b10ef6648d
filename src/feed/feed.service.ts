import { Inject, Injectable } from '@nestjs/common';
import type { Observable } from 'rxjs';
import { Broker } from './broker/broker.js';
import type { NodeCounts } from './cluster/announcement.js';
import { Nodes } from './cluster/nodes.js';
import type { FeedConnection } from './connection/feed-connection.js';
import { type ConnectOptions, FeedOpener } from './connection/feed-opener.js';
import { Registry } from './connection/registry.js';
import { FeedLifecycle } from './feed.lifecycle.js';
import { FEED_OPTIONS, type ResolvedFeedOptions } from './feed.options.js';
import { FeedPublisher } from './feed.publisher.js';
import type { AnyRequest, AnyResponse } from './http/adapter.js';
import { Admission } from './limits/admission.js';
import type { FeedRef } from './message/feed-definition.js';
import { feedIdOf } from './message/feed-id.js';
import { Publisher, type PublishListener } from './pubsub/publisher.js';
import { Router } from './pubsub/router.js';
import { Runs } from './run/runs.js';
import type { FeedCount, FeedCounts } from './stats/counts.js';
import type { EndReason } from './stats/end-reason.js';
import type { FeedEvent } from './stats/events.js';
import type { FeedStatus } from './stats/status.js';

/** Publishes to feeds, reads and follows them, counts their connections and ends them. */
@Injectable()
export class FeedService extends FeedPublisher {
  constructor(
    broker: Broker,
    router: Router,
    publisher: Publisher,
    private readonly registry: Registry,
    private readonly opener: FeedOpener,
    private readonly admission: Admission,
    private readonly nodes: Nodes,
    runs: Runs,
    private readonly lifecycle: FeedLifecycle,
    @Inject(FEED_OPTIONS) options: ResolvedFeedOptions,
  ) {
    super(broker, router, publisher, runs, options.serialize);
  }

  /** Connections and feeds as they begin and end. Without a subscriber, no event is made. */
  get events$(): Observable<FeedEvent> {
    return this.registry.events$;
  }

  /** Whether the service takes connections and messages. */
  get status(): FeedStatus {
    const { name, unavailableSince, unavailableReason } = this.broker;
    return {
      isDraining: this.lifecycle.isDraining,
      open: this.registry.size,
      opened: this.registry.opened,
      rejected: this.admission.rejected,
      limit: this.admission.maxConnections,
      broker: { name, unavailableSince, unavailableReason, slowSince: this.admission.intake.slowSince },
    };
  }

  /**
   * Turns a response into a feed: its head is sent with the first message, or a turn of the event loop later, and from then on the
   * connection lives until the client leaves, the source ends or the application ends it.
   *
   * @returns the connection; undefined where there is none, because the request was `HEAD` or the client has left
   * @throws FeedException FEED_ID (400) for a feed of the module's own, whose name begins with `$`; FEED_FORBIDDEN (403) when the token
   * does not grant all of the feeds; FEED_FORMAT (406); FEED_TOO_MANY (429) at a limit of the client; FEED_UNAVAILABLE (503) at the
   * limit of all or of a feed, where a snapshot fails, and while the service shuts down; FEED_BROKER (503) while the broker, which stores what the client missed, is unavailable;
   * and what the source fails with before the first byte
   */
  connect(request: AnyRequest, response: AnyResponse, options: ConnectOptions = {}): Promise<FeedConnection | undefined> {
    return this.opener.open(request, response, options);
  }

  /**
   * Ends the connections of a feed, or all there are. What waits for their clients is sent first.
   *
   * @param feed default: every feed
   * @returns how many connections that were
   */
  end(feed?: string | FeedRef, reason: EndReason = 'completed'): number {
    return this.registry.end(feed && feedIdOf(feed), reason);
  }

  /** Counts over all feeds since the process started. */
  counts(): FeedCounts {
    return this.registry.counts();
  }

  /** Counts of one feed; zeros where it has no connections. */
  count(feed: string | FeedRef): FeedCount {
    return this.registry.count(feedIdOf(feed));
  }

  /**
   * The counts of each process that shares the broker and was heard of in the last 6 seconds, this one's first: its own are current, those
   * of the others up to 2 seconds old.
   */
  cluster(): NodeCounts[] {
    return this.nodes.all();
  }

  /**
   * The feeds that have the most subscribers in this process. This looks at each feed.
   *
   * @param most how many feeds
   */
  busiest(most: number): { id: string; followers: number }[] {
    return this.router.busiest(most);
  }

  /** How many subscribers a feed has in this process: connections, and those of `messages()`. */
  subscribers(feed: string | FeedRef): number {
    return this.router.topic(feedIdOf(feed))?.size ?? 0;
  }

  /** Has one listener told how long each publication took. Without one, nothing is measured. */
  onPublish(listener: PublishListener): void {
    this.publisher.listen(listener);
  }
}
