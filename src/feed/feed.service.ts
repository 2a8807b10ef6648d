import { Server } from 'node:net';
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises';
import {
  type BeforeApplicationShutdown,
  Inject,
  Injectable,
  Logger,
  type OnApplicationBootstrap,
  type OnApplicationShutdown,
  type OnModuleInit,
} from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { catchError, NEVER, type Observable, type ObservableInput, throwError } from 'rxjs';
import { assertMayRead } from './auth/request-grant.js';
import { type Broker, BrokerMessageTooLargeError, BrokerUnavailableError, type Start } from './broker/broker.js';
import { type NodeCounts, Nodes } from './cluster/nodes.js';
import type { Connection } from './connection/connection.js';
import { Encoder } from './connection/encoder.js';
import { Registry } from './connection/registry.js';
import { FeedBodyTooLargeException, FeedBrokerException, FeedFormatException, FeedIdException } from './errors/feed.errors.js';
import { FEED_BROKER, FEED_OPTIONS } from './feed.module-definition.js';
import type { ResolvedFeedOptions } from './feed.options.js';
import type { Format } from './format/format.js';
import { chooseFormat, formats, labelled } from './format/formats.js';
import { labelledText } from './format/text.js';
import { type AnyRequest, type AnyResponse, pathOf, rawOf, takeOver, targetOf } from './http/adapter.js';
import { queryOf, startOf } from './http/feed-request.js';
import { FeedRoutes } from './http/feed-routes.js';
import { Admission, retryAfter } from './limits/admission.js';
import { roomForIdle } from './limits/open-files.js';
import { contentOf } from './message/content.js';
import { checkFeedId } from './message/feed-id.js';
import type { Content, FeedItem, FeedMessage, PublishedMessage } from './message/message.js';
import { formatPosition, nowhere, parsePosition } from './message/position.js';
import { messagesOf } from './pubsub/messages.js';
import type { Replay } from './pubsub/replay.js';
import { Router } from './pubsub/router.js';
import type { FeedCount, FeedCounts } from './stats/counts.js';
import type { EndReason } from './stats/end-reason.js';
import type { FeedEvent } from './stats/events.js';
import { Handover, handOver } from './transport/handover.js';
import { carriesFeed, claim, enter, keepResponse, leave, setHead } from './transport/plain-response.js';
import { ServerCloser } from './transport/server-closer.js';

/** How often a shutdown looks whether all clients have left, in milliseconds. */
const drainStepMs = 10;

/** How often it looks once all have been cut off; a connection that still waits for its history or its source has nothing to cut yet. */
const mostLateSteps = 20;

/** The part of the drain time in which feeds are ended; the rest is for their clients to read the end. */
const spreadShare = 0.6;

/** Silence after which the kernel asks whether a client is still there, in milliseconds: a host that is gone says nothing by itself. */
const keepAliveMs = 60_000;

/** What a new connection follows. */
export interface ConnectOptions {
  /** The feeds whose published messages it gets. Default: one that is named as the request's path. */
  feeds?: readonly string[];
  /** Makes the source that feeds it besides; called once what the feeds keep has been read. Default: no source. */
  source?: (() => ObservableInput<FeedItem>) | undefined;
  /**
   * Whether it begins where `Last-Event-ID` or `?since=` says. Default: where there is no source, whose own ids these may be.
   */
  resume?: boolean;
  /** Whether the source gives ids of its own: a `Last-Event-ID` that is no position of a feed is then left to it. Default: false. */
  sourceHasIds?: boolean;
  /** Whether messages in the format `text` say which feed they are of. Default: where there are several. */
  labelled?: boolean;
}

/**
 * Told when the broker has what was published at once, to one feed or to many, or has refused it.
 *
 * @param ms how long that took, in milliseconds
 */
export type PublishListener = (ms: number, isPublished: boolean) => void;

/** Owns every feed and connection: publishes, opens, counts, ends. */
@Injectable()
export class FeedService implements OnModuleInit, OnApplicationBootstrap, BeforeApplicationShutdown, OnApplicationShutdown {
  private readonly logger = new Logger(FeedService.name);
  private readonly encoders = new Map([...formats, labelledText].map((format) => [format, new Encoder(format)]));
  private readonly router: Router;
  private readonly registry: Registry;
  private readonly nodes: Nodes;
  private readonly admission: Admission;
  private onPublished: PublishListener | undefined;
  private leaving = false;
  private draining = false;
  private handover: Handover | undefined;
  private closer: ServerCloser | undefined;

  constructor(
    @Inject(FEED_OPTIONS) private readonly options: ResolvedFeedOptions,
    @Inject(FEED_BROKER) private readonly carrier: Broker,
    private readonly adapters: HttpAdapterHost,
    private readonly routes: FeedRoutes,
  ) {
    this.router = new Router(carrier, options.rules, (feed, isFollowed) => this.registry.onPresence(feed, isFollowed));
    this.nodes = new Nodes(carrier, options.nodeName, () => this.counts());
    this.admission = new Admission(options);
    this.registry = new Registry(options, this.router, this.admission.clients, ({ feeds }, error) => {
      this.logger.error(`The source of feed "${feeds.join(', ')}" failed: ${error instanceof Error ? error.stack : String(error)}`);
    });
  }

  /** The server is there, and does not listen yet. */
  onModuleInit(): void {
    const server: unknown = this.adapters.httpAdapter?.getHttpServer();
    if (server instanceof Server) this.closer = new ServerCloser(server);
    if (!this.options.handover) return;
    const paths = this.routes.pattern();
    this.handover = Handover.install(
      server,
      (path) => paths.test(path),
      () => roomForIdle(this.open),
    );
  }

  /** The connections can be counted: the other processes are told of this one, and it is told of them. */
  onApplicationBootstrap(): void {
    this.nodes.start();
  }

  /** Who comes and goes: told as it happens, to whoever listens by then; nobody listens, nothing is made. */
  get events$(): Observable<FeedEvent> {
    return this.registry.events$;
  }

  /** Whether the service has begun to shut down: load balancers should send nothing more. */
  get isDraining(): boolean {
    return this.leaving;
  }

  /** Connections open now. */
  get open(): number {
    return this.registry.open;
  }

  /** All connections that were ever opened. */
  get opened(): number {
    return this.registry.opened;
  }

  /** All connections that were ever refused at a limit or while draining. */
  get rejected(): number {
    return this.admission.rejected;
  }

  /** The most connections that may be open; Infinity for no limit. */
  get limit(): number {
    return this.options.maxConnections;
  }

  /** What keeps the feeds' messages, and since when it is away, in milliseconds since 1970; undefined while it is there. */
  get broker(): Readonly<Pick<Broker, 'name' | 'unavailableSince'>> {
    const { name, unavailableSince } = this.carrier;
    return { name, unavailableSince };
  }

  /** Why the broker's engine is away, for whoever runs it: it may name addresses. Undefined while it is there, or where that is not known. */
  get unavailableReason(): string | undefined {
    return this.carrier.unavailableReason;
  }

  /** The most bytes that a message published over HTTP may have. */
  get bodyBytes(): number {
    return this.options.bodyBytes;
  }

  /**
   * Publishes a message: to everybody who follows the feed, and to those who come back for it as long as history keeps it.
   *
   * @param feed see `feedIdRule`
   * @param data text, bytes (UTF-8), or anything that JSON can express; taken as it is now
   * @param options `type`: the `event` field of a server-sent event
   * @returns the message, once the broker has it
   * @throws FeedIdException, FeedMessageException (400) for what cannot be published; FeedBodyTooLargeException (413) for more than the
   * broker's engine takes; FeedBrokerException (503) while that is away: the message may have got there all the same, if it went away just then
   */
  async publish<T>(feed: string, data: T, { type }: { type?: string } = {}): Promise<FeedMessage<T>> {
    checkFeedId(feed);
    const [message] = await this.publishContent([feed], contentOf(data, type));
    return message as PublishedMessage & FeedMessage<T>;
  }

  /**
   * Publishes the same to many feeds: the fan-out to all who follow any of them. Whoever follows several gets it once for each.
   *
   * @param feeds a feed that is named twice gets it once
   * @returns the messages, in the order of the feeds, once the broker has all of them
   * @throws as `publish()`; for what cannot be published nothing is, but where the engine goes away in between some may have got there
   */
  async publishMany<T>(feeds: Iterable<string>, data: T, { type }: { type?: string } = {}): Promise<FeedMessage<T>[]> {
    const distinct = [...new Set(feeds)].map(checkFeedId);
    const content = contentOf(data, type);
    return (await this.publishContent(distinct, content)) as (PublishedMessage & FeedMessage<T>)[];
  }

  /**
   * The messages of a feed for the application itself, or as a part of a source.
   *
   * @param options `since`: where to begin, a message's id, `earliest` or `latest`. Default: what is published from the subscription on,
   * and what the feed's rule replays. It fails with FeedBrokerException where the broker's engine is away when it is subscribed
   */
  messages(feed: string, { since }: { since?: string } = {}): Observable<FeedMessage> {
    const messages = messagesOf(this.router, checkFeedId(feed), since === undefined ? undefined : toStart(since));
    return messages.pipe(catchError((error) => throwError(() => exceptionOf(error))));
  }

  /** Whether the module's own source is the application's, and may give ids. */
  get sourceHasIds(): boolean {
    return this.options.sourceHasIds;
  }

  /** The module's own source, if it has one: what feeds the connections of its own route. */
  get source(): ResolvedFeedOptions['source'] {
    return this.options.source;
  }

  /**
   * Whether a request may become a feed, and in which format; nothing is allocated yet.
   *
   * @throws FeedFormatException (406) when the client wants a format that nobody offers
   * @throws FeedUnavailableException (503, with `Retry-After`) at the limit and while the service shuts down
   * @throws FeedTooManyException (429, with `Retry-After`) at a limit for each client
   */
  admit(request: AnyRequest, response: AnyResponse): Format {
    const format = chooseFormat(rawOf(request).headers.accept, queryOf(request).get('format'));
    if (!format) throw new FeedFormatException(formats.map(({ name }) => name));
    this.admission.admit(request, response, this.open, this.draining);
    return format;
  }

  /**
   * Makes the response a feed: its head goes out with the first message, or a turn of the event loop later, and from then on the
   * connection lives until the client leaves, the source ends or the application ends it.
   *
   * @returns the connection; undefined where there is none, because it was a `HEAD` request or the client has left
   * @throws FeedIdException (400) for a feed of the module's own, whose name begins with `$`
   * @throws FeedForbiddenException (403) when the request has a token that is not for all of the feeds
   * @throws FeedBrokerException (503, with `Retry-After`) while the broker's engine, which has what the client missed, is away
   * @throws what `admit()` throws, and what the source fails with before the first byte
   */
  async connect(request: AnyRequest, response: AnyResponse, options: ConnectOptions = {}): Promise<Connection | undefined> {
    const req = rawOf(request);
    if (!(await enter(req, rawOf(response)))) {
      takeOver(response);
      return undefined;
    }
    try {
      return await this.openFeed(request, response, options);
    } finally {
      leave(req);
    }
  }

  private async openFeed(request: AnyRequest, response: AnyResponse, options: ConnectOptions): Promise<Connection | undefined> {
    const req = rawOf(request);
    const res = rawOf(response);
    const { feeds: named = [pathOf(targetOf(request))], source, resume = !source, sourceHasIds = false } = options;
    const feeds = [...new Set(named)];
    if (feeds.some(isOwn)) throw new FeedIdException();
    assertMayRead(request, feeds);
    if (carriesFeed(req.socket)) {
      takeOver(response);
      return undefined;
    }
    const format = this.admit(request, response);
    const since = resume ? startOf(request, sourceHasIds) : undefined;
    if (req.method === 'HEAD') {
      takeOver(response);
      setHead(req, res, format);
      res.end();
      return undefined;
    }
    const encoder = this.encoders.get((options.labelled ?? feeds.length > 1) ? labelled(format) : format) as Encoder;
    const connection = this.registry.make(feeds, encoder, this.admission.holderOf(request));
    try {
      const replay = await this.follow(connection, resume, since, source !== undefined);
      if (replay) connection.replay(replay);
      const items = source?.() ?? NEVER;
      if (items !== NEVER) connection.subscribe(items);
      if (!connection.isReady) await turn();
      if (req.socket.destroyed) {
        this.registry.drop(connection);
        return undefined;
      }
      connection.open(() => {
        takeOver(response);
        setHead(req, res, format);
        if (replay) res.setHeader('Feed-Position', formatPosition(replay.start));
        claim(req);
        if (req.httpVersionMajor === 1) req.socket.setKeepAlive(true, keepAliveMs);
        return handOver(req, res) ?? keepResponse(req, res);
      });
    } catch (error) {
      this.registry.drop(connection);
      if (!(error instanceof BrokerUnavailableError)) throw error;
      throw this.admission.refusal(response, 'broker', new FeedBrokerException(retryAfter, error));
    }
    return connection;
  }

  /** Has the connection follow its feeds. One with a source goes on without the broker's engine, where it misses nothing by that. */
  private async follow(
    connection: Connection,
    resumes: boolean,
    since: Start | undefined,
    hasSource: boolean,
  ): Promise<Replay | undefined> {
    const { feeds } = connection;
    try {
      if (resumes) return await this.router.follow(connection, feeds, since);
    } catch (error) {
      if (!(error instanceof BrokerUnavailableError && hasSource && since === undefined)) throw error;
    }
    await this.router.join(connection, feeds);
    return undefined;
  }

  /** @internal Publishes what has been checked. */
  async publishContent(feeds: readonly string[], content: Content): Promise<PublishedMessage[]> {
    const begun = this.onPublished ? performance.now() : 0;
    try {
      const messages = await Promise.all(feeds.map((feed) => this.carrier.publish(feed, content)));
      this.onPublished?.(performance.now() - begun, true);
      return messages;
    } catch (error) {
      this.onPublished?.(performance.now() - begun, false);
      throw exceptionOf(error);
    }
  }

  /**
   * Ends all connections of a feed, or all there are.
   *
   * @param feed default: every feed
   * @returns how many connections that were
   */
  end(feed?: string, reason: EndReason = 'completed'): number {
    return this.registry.end(feed, reason);
  }

  /** Counts over all feeds since the process started. */
  counts(): FeedCounts {
    const { rejected, rejectedBy } = this.admission;
    const limit = Number.isFinite(this.limit) ? this.limit : null;
    return { ...this.registry.counts(), rejected, rejectedBy, limit };
  }

  /** Counts of one feed; zeros where nobody follows it. */
  count(id: string): FeedCount {
    return this.registry.count(id);
  }

  /**
   * The counts of every process that shares the broker and was heard of in the last 6 seconds, this one's first: its own as they are now, the
   * others' as they were up to 2 seconds ago.
   */
  cluster(): NodeCounts[] {
    return this.nodes.all();
  }

  /**
   * The feeds that have the most followers in this process, and how many: found when somebody asks, by a look at each feed.
   *
   * @param most how many feeds
   */
  busiest(most: number): { id: string; followers: number }[] {
    return this.router.busiest(most);
  }

  /** Has one listener told how long publishing takes. Nobody listens, nothing is measured. */
  watchPublishing(listener: PublishListener): void {
    this.onPublished = listener;
  }

  /** How many follow a feed in this process: connections, and subscribers of `messages()`. */
  subscribers(feed: string): number {
    return this.router.topic(feed)?.size ?? 0;
  }

  /**
   * Ends every feed, so that the server's `close()`, which waits for open responses, can finish: after `lameDuckMs`, in which load
   * balancers see that the service is not ready any more, one after the other, so that not all clients come back at once.
   * A client that does not read the end of its feed within the drain time is cut off.
   */
  async beforeApplicationShutdown(): Promise<void> {
    const { drainMs, lameDuckMs } = this.options;
    const begun = performance.now();
    this.leaving = true;
    this.logger.log(`Shutting down with ${this.open} connections open, within ${drainMs} ms`);
    await sleep(lameDuckMs);
    this.draining = true;
    this.handover?.close();
    this.closer?.close();
    const left = () => Math.max(0, drainMs - (performance.now() - begun));
    setTimeout(() => this.closer?.destroy(), left()).unref();
    await this.registry.drain(left() * spreadShare);
    while (this.open > 0 && left() > 0) await sleep(drainStepMs);
    this.registry.destroy();
    // A socket that is destroyed is closed, and counted, a turn of the event loop later.
    for (let n = 0; this.open > 0 && n < mostLateSteps; n += 1) await sleep(drainStepMs);
    this.logger.log(`All connections have ended, after ${Math.round(performance.now() - begun)} ms`);
  }

  async onApplicationShutdown(): Promise<void> {
    await this.nodes.stop();
    await this.carrier.close();
  }
}

/** Whether a feed is the module's own, such as that of the nodes: no client can follow it. */
function isOwn(feed: string): boolean {
  return feed.startsWith('$');
}

function exceptionOf(error: unknown): unknown {
  if (error instanceof BrokerMessageTooLargeError) return new FeedBodyTooLargeException(error.limit);
  return error instanceof BrokerUnavailableError ? new FeedBrokerException(retryAfter, error) : error;
}

function toStart(since: string): Start {
  if (since === 'earliest') return 'earliest';
  if (since === 'latest') return 'end';
  return parsePosition(since) ?? nowhere;
}
