import { Inject, Injectable } from '@nestjs/common';
import type { Observable } from 'rxjs';
import type { Revocation } from './auth/revocations.js';
import { Broker } from './broker/broker.js';
import { Nodes } from './cluster/nodes.js';
import type { ConnectionFilter } from './connection/connection-list.js';
import type { FeedConnection } from './connection/feed-connection.js';
import { type ConnectOptions, FeedOpener } from './connection/feed-opener.js';
import { Registry } from './connection/registry.js';
import {
  type ConnectionPage,
  type ConnectionQuery,
  type DisconnectOptions,
  type EndedCount,
  FeedControl,
  type RevokeOptions,
} from './feed.control.js';
import { type FeedDetails, FeedDirectory, type FeedPage, type FeedQuery } from './feed.directory.js';
import { FeedLifecycle } from './feed.lifecycle.js';
import { FEED_OPTIONS, type ResolvedFeedOptions } from './feed.options.js';
import { FeedPresence, type Occupancy, type Presence, type PresenceQuery } from './feed.presence.js';
import { FeedPublisher } from './feed-publisher.js';
import type { AnyRequest, AnyResponse } from './http/adapter.js';
import { FeedRequest } from './http/feed-request.js';
import { Admission } from './limits/admission.js';
import { serialiserBy } from './message/content.js';
import type { FeedRef } from './message/feed-definition.js';
import { feedIdOf } from './message/feed-id.js';
import { MessagePublisher, type PublishListener } from './pubsub/message-publisher.js';
import { Router } from './pubsub/router.js';
import { Runs } from './run/runs.js';
import type { FeedCount, FeedCounts, NodeCounts } from './stats/counts.js';
import type { EndReason } from './stats/end-reason.js';
import type { FeedEvent } from './stats/events.js';
import type { FeedStatus } from './stats/status.js';

/** Publishes to feeds, reads and follows them, counts their connections and ends them. */
@Injectable()
export class FeedService extends FeedPublisher {
  constructor(
    broker: Broker,
    router: Router,
    publisher: MessagePublisher,
    private readonly registry: Registry,
    private readonly opener: FeedOpener,
    private readonly admission: Admission,
    private readonly nodes: Nodes,
    private readonly control: FeedControl,
    private readonly presences: FeedPresence,
    private readonly directory: FeedDirectory,
    runs: Runs,
    private readonly lifecycle: FeedLifecycle,
    @Inject(FEED_OPTIONS) options: ResolvedFeedOptions,
  ) {
    super(broker, router, publisher, runs, serialiserBy(options.serialize));
  }

  /** Connections and feeds as they begin and end. Without a subscriber, no event is made. */
  get events$(): Observable<FeedEvent> {
    return this.registry.events.events$;
  }

  /**
   * Events that another node told, and was lost within a minute: they may not have reached the service that it sent them to. They have the same
   * ids as then.
   */
  get repeatedEvents$(): Observable<FeedEvent> {
    return this.registry.events.repeatedEvents$;
  }

  /** Whether the service takes connections and messages. */
  get status(): FeedStatus {
    const { name, unavailableSince, unavailableReason, historyBytes } = this.broker;
    return {
      isDraining: this.lifecycle.isDraining,
      open: this.registry.size,
      opened: this.registry.opened,
      rejected: this.admission.rejected,
      limit: this.admission.maxConnections,
      broker: { name, unavailableSince, unavailableReason, historyBytes, slowSince: this.admission.intake.slowSince },
    };
  }

  /**
   * Turns a response into a feed: its head is sent once its feeds are subscribed, or, where it has a source, with the first item or a turn of
   * the event loop later. From then on the connection lives until the client leaves, the source ends or the application ends it.
   *
   * @returns the connection; undefined where there is none, because the request was `HEAD` or the client has left
   * @throws FeedException FEED_ID (400) for a feed of the module's own, whose name begins with `$`; FEED_FORBIDDEN (403) when the token
   * does not grant all of the feeds; FEED_FORMAT (406); FEED_TOO_MANY (429) at a limit of the client; FEED_UNAVAILABLE (503) at the
   * limit of all or of a feed, where a snapshot fails, and while the service shuts down; FEED_BROKER (503) while the broker, which stores what the client missed, is unavailable;
   * and what the source fails with before the first byte
   */
  connect(request: AnyRequest, response: AnyResponse, options: ConnectOptions = {}): Promise<FeedConnection | undefined> {
    return this.opener.open(FeedRequest.of(request), response, options);
  }

  /**
   * Ends the connections that follow a feed, or all there are, on every node. What waits for their clients is sent first. Those of this
   * node are ended when this returns.
   *
   * @param feed default: every feed
   * @throws FeedException FEED_ID (400); FEED_QUERY (400) for a reason that is none
   */
  end(feed?: string | FeedRef, reason: EndReason = 'completed'): Promise<EndedCount> {
    return this.control.endFeed(feed, reason);
  }

  /**
   * Ends connections on every node, as `disconnected`, and tells their clients why.
   *
   * @param filter which ones: those to which everything here applies
   * @throws FeedException FEED_QUERY, FEED_ID (400) where nothing says which, or `reason` is too long
   */
  disconnect(filter: ConnectionFilter, options: DisconnectOptions = {}): Promise<EndedCount> {
    return this.control.disconnect(filter, options);
  }

  /**
   * Refuses tokens on every node from now on, also on nodes that start later: with 403 (FEED_REVOKED). Connections that were opened with
   * them end as `revoked`.
   *
   * @throws FeedException FEED_QUERY (400); FEED_BROKER (503) where the broker cannot store that: the nodes that could be reached refuse them
   * all the same, and calling again stores it
   */
  revoke(options: RevokeOptions): Promise<EndedCount & { until: number }> {
    return this.control.revoke(options);
  }

  /** What is revoked now, as this node knows it; what ends last comes first. */
  revocations(): Revocation[] {
    return this.control.revocations.all();
  }

  /**
   * Lists connections of every node.
   *
   * @throws FeedException FEED_QUERY, FEED_ID (400)
   */
  connections(query: ConnectionQuery = {}): Promise<ConnectionPage> {
    return this.control.connections(query);
  }

  /**
   * The users that follow a feed, over all nodes, with what their tokens say of them.
   *
   * @throws FeedException FEED_QUERY, FEED_ID (400)
   */
  presence(feed: string | FeedRef, query: PresenceQuery = {}): Promise<Presence> {
    return this.presences.presence(feed, query);
  }

  /**
   * How many connections and users follow a feed, over all nodes.
   *
   * @throws FeedException FEED_ID (400)
   */
  occupancy(feed: string | FeedRef): Promise<Occupancy> {
    return this.presences.occupancy(feed);
  }

  /**
   * Lists feeds over all nodes: those with subscribers, and those of which something is stored, by id. With Redis, a list looks at all keys of
   * the database, a thousand at a time; the other brokers look into the memory of this process.
   *
   * @throws FeedException FEED_QUERY, FEED_ID (400); FEED_BROKER (503) while the broker is unavailable
   */
  list(query: FeedQuery = {}): Promise<FeedPage> {
    return this.directory.list(query);
  }

  /**
   * How many follow a feed on each node, and how much of it is stored.
   *
   * @throws FeedException FEED_ID (400); FEED_BROKER (503) while the broker is unavailable
   */
  details(feed: string | FeedRef): Promise<FeedDetails> {
    return this.directory.details(feedIdOf(feed));
  }

  /** Counts over all feeds since the process started. */
  counts(): FeedCounts {
    return this.registry.counts();
  }

  /** Counts of one feed; zeros where it has no connections. */
  count(feed: string | FeedRef): FeedCount {
    return this.registry.count(feedIdOf(feed));
  }

  /** The counts of each node that shares the broker, this one's first; and the names of those that have not answered within a second. */
  cluster(): Promise<{ nodes: NodeCounts[]; missing: readonly string[] }> {
    return this.control.counts();
  }

  /** The names of the nodes that share the broker, this one's first, as far as this one has heard of them. */
  nodeNames(): string[] {
    return [this.nodes.name, ...this.nodes.others().map(({ name }) => name)];
  }

  /**
   * The feeds that have the most subscribers in this process. This looks at each feed.
   *
   * @param most how many feeds
   */
  busiest(most: number): { id: string; subscribers: number }[] {
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
