import type { IncomingMessage, ServerResponse } from 'node:http';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { ObservableInput } from 'rxjs';
import { checkMayRead } from '../auth/grant.js';
import type { Coding } from '../coding/choose-coding.js';
import { BrokerUnavailableError } from '../errors/broker.errors.js';
import type { Format } from '../format/format.js';
import { labelled } from '../format/formats.js';
import { type AnyResponse, hijack, rawOf } from '../http/adapter.js';
import type { FeedRequest, NamedFeeds } from '../http/feed-request.js';
import { setFeedHead, withErrorHead } from '../http/head.js';
import type { Admission } from '../limits/admission.js';
import { checkFeedId, checkFeedIds } from '../message/feed-id.js';
import type { FeedItem } from '../message/message.js';
import { formatPosition, type Start, type StartOf } from '../message/position.js';
import type { Replay } from '../pubsub/replay.js';
import type { Router } from '../pubsub/router.js';
import type { FeedContext } from '../source/source.js';
import { handOver, isReadByNode } from '../transport/handover.js';
import { beginOpening, claimSocket, endOpening } from '../transport/pipelining.js';
import { plainResponse } from '../transport/plain-response.js';
import type { Transport } from '../transport/transport.js';
import type { Connection } from './connection.js';
import type { Encoder } from './encoder.js';
import type { Encoders } from './encoders.js';
import type { InterceptedSource } from './intercepted-source.js';
import type { Registry } from './registry.js';

/** Silence after which the kernel checks whether a client is still there, in milliseconds: a host that has vanished sends nothing. */
const keepAliveMs = 60_000;

/** What a new connection follows. */
export interface ConnectOptions {
  /**
   * The feeds whose published messages it gets. Default: one named as the path of the request, in the case in which the route is written;
   * none where that is not a feed's id and there is a source.
   */
  feeds?: readonly string[] | undefined;
  /** Makes its source, once its feeds have been subscribed to: a state that it reads and the messages after it leave no gap. Default: none. */
  source?: ((context: Pick<FeedContext, 'signal'>) => ObservableInput<FeedItem>) | undefined;
  /** Whether it begins where `Last-Event-ID` or `?since=` says. Default: where it has no source, whose own ids these may be. */
  resume?: boolean;
  /** Whether the source gives ids of its own: a `Last-Event-ID` that is no position of a feed is then left to it. Default: false. */
  sourceHasIds?: boolean;
  /** Whether messages in the format `text` name their feed. Default: where it follows several. */
  labelled?: boolean;
}

/** What a route follows: its handler may have no source, and is called before anything is subscribed to, since it may fail. */
interface RouteOptions extends ConnectOptions {
  /** Tells the feeds of the route, in the place of `feeds`: ids that obey their rule. */
  named?: NamedFeeds;
  /** Where a client begins that does not say. Default: with the next message, and what the rules of the feeds replay. */
  since?: Start;
  handler?: () => Promise<{ readonly source: ObservableInput<FeedItem> | InterceptedSource | undefined }>;
}

/** Opens feeds: checks what a request asks for, and makes it a connection on a transport. */
export class FeedOpener {
  constructor(
    private readonly admission: Admission,
    private readonly registry: Registry,
    private readonly router: Router,
    private readonly encoders: Encoders,
  ) {}

  /**
   * Opens a feed on a response: its head is sent once its feeds are subscribed, or, with a source, with the first item or a turn of the event
   * loop later.
   *
   * @returns the connection; undefined where there is none, because the request was `HEAD` or the client has left
   * @throws FeedException as the route answers it, and what the source fails with before the head is sent
   */
  async open(request: FeedRequest, response: AnyResponse, options: RouteOptions = {}): Promise<Connection | undefined> {
    if (!(await beginOpening(request.raw, rawOf(response)))) {
      hijack(response);
      request.stop?.abort();
      return undefined;
    }
    try {
      return await this.accept(request, response, options);
    } catch (error) {
      const rejection = this.admission.rejectionOf(error);
      this.router.measures.noteRefusal(rejection, options.feeds?.[0] ?? request.told?.[0] ?? request.namedFeed ?? request.path);
      throw withErrorHead(rejection, response);
    } finally {
      endOpening(request.raw);
    }
  }

  private async accept(request: FeedRequest, response: AnyResponse, options: RouteOptions): Promise<Connection | undefined> {
    const named = options.named ? request.feedsBy(options.named) : options.feeds && checkFeedIds(options.feeds);
    checkMayRead(request, named ?? [request.path]);
    // A path that nothing can be published to is one for a source.
    const feeds = named ?? request.feedsOfPath;
    const { format } = request;
    const coding = this.encoders.codingFor(request.raw, response);
    const client = this.admission.admit(request, this.registry.size);
    this.registry.checkRoom(feeds);
    const sent = (options.labelled ?? feeds.length > 1) ? labelled(format) : format;
    const encoder = this.encoders.of(sent, coding);
    const connection = this.registry.make(feeds, encoder, client);
    const stopWatching = abortWhenLeft(request, rawOf(response));
    try {
      const handled = options.handler && (await options.handler());
      if (handled) this.registry.checkRoom(feeds); // others may have come meanwhile
      const makeSource =
        handled?.source === undefined ? options.source : () => handled.source as ObservableInput<FeedItem> | InterceptedSource;
      if (!named && feeds.length === 0 && !makeSource) checkFeedId(request.path);
      const { resume = makeSource === undefined, sourceHasIds = false, since } = options;
      const startOf = resume ? (request.startOf(feeds, sourceHasIds) ?? (since && (() => since))) : undefined;
      if (request.isHead) {
        const replay = resume ? await this.peek(connection, startOf) : undefined;
        if (replay && isOver(connection, replay, makeSource !== undefined)) return this.answerOver(connection, request, response, replay);
        this.registry.discard(connection);
        request.stop?.abort();
        this.setHead(request, response, format, coding, replay);
        rawOf(response).end();
        return undefined;
      }
      connection.waiting = rawOf(response);
      const replay = await this.subscribe(connection, resume, startOf, makeSource !== undefined);
      if (replay) await this.router.addSnapshots(replay, startOf);
      connection.waiting = undefined;
      if (replay && replay.endedFeeds.length > 0) {
        if (isOver(connection, replay, makeSource !== undefined)) {
          return this.answerOver(connection, request, response, replay);
        }
        for (const feed of replay.endedFeeds) connection.unfollow(feed);
      }
      if (replay) connection.replay(replay);
      const source = makeSource?.(request);
      if (source || request.stop) connection.subscribe(source, request.stop);
      // A source may fail at once, which is answered with an error.
      if ((source && !connection.isReady) || isReadByNode(request.raw)) await nextTurn();
      if (request.raw.socket.destroyed) {
        this.registry.discard(connection);
        return undefined;
      }
      request.checkGrant(); // one that was disconnected meanwhile may be revoked as well
      let transport = undefined as Transport | undefined;
      connection.open(() => {
        stopWatching();
        this.setHead(request, response, format, coding, replay);
        rawOf(response).setHeader('Feed-Connection', connection.id);
        transport = this.makeTransport(request.raw, rawOf(response), coding);
        encoder.begin(transport);
        if (sent.opening) this.tellOpening(transport, connection, encoder, replay);
        if (connection.reason !== undefined) transport.uncork(); // it may be cut at once
        return transport;
      });
      transport?.uncork(); // its head and what it begins with make one system call
      return connection;
    } catch (error) {
      this.registry.discard(connection);
      request.stop?.abort();
      throw error;
    }
  }

  /** Tells a client that has all of feeds that have ended to stay away: "No Content" is what ends an `EventSource` (HTML standard, section 9.2.2). */
  private answerOver(connection: Connection, request: FeedRequest, response: AnyResponse, { start }: Replay): undefined {
    this.registry.discard(connection);
    request.stop?.abort();
    hijack(response);
    const raw = rawOf(response);
    raw.statusCode = 204;
    if (!raw.hasHeader('Cache-Control')) raw.setHeader('Cache-Control', 'no-store');
    raw.setHeader('Feed-Position', formatPosition(start));
    raw.end();
    return undefined;
  }

  /** Subscribes a connection to its feeds. One with a source needs no broker, where it misses nothing by that. */
  private async subscribe(
    connection: Connection,
    resumes: boolean,
    startOf: StartOf | undefined,
    hasSource: boolean,
  ): Promise<Replay | undefined> {
    const { feeds } = connection;
    const { admission, router } = this;
    const { intake } = admission;
    const needsBroker = !hasSource || startOf !== undefined;
    if (!needsBroker && intake.isFull) {
      router.subscribeSoon(connection, feeds);
      return undefined;
    }
    admission.beginWaiting(connection);
    try {
      if (resumes) return await router.subscribe(connection, feeds, startOf);
      await router.subscribeLive(connection, feeds);
    } catch (error) {
      if (needsBroker || !(error instanceof BrokerUnavailableError)) throw error;
      await router.subscribeLive(connection, feeds);
    } finally {
      intake.end(connection);
    }
    return undefined;
  }

  /** What a connection would begin with. */
  private async peek(connection: Connection, startOf: StartOf | undefined): Promise<Replay> {
    const { intake } = this.admission;
    this.admission.beginWaiting(connection);
    try {
      return await this.router.replayFrom(connection.feeds, startOf);
    } finally {
      intake.end(connection);
    }
  }

  private setHead(
    { raw: request }: FeedRequest,
    response: AnyResponse,
    format: Format,
    coding: Coding | undefined,
    replay: Replay | undefined,
  ): void {
    hijack(response);
    const raw = rawOf(response);
    setFeedHead(request, raw, format, coding);
    if (replay) raw.setHeader('Feed-Position', formatPosition(replay.start));
    if (replay?.isCut) raw.setHeader('Feed-History', 'cut');
  }

  private tellOpening(transport: Transport, { id }: Connection, encoder: Encoder, replay: Replay | undefined): void {
    const position = replay && formatPosition(replay.start);
    const opening = { connection: id, position, heartbeatMs: this.registry.keepAlive.heartbeatMs, ended: replay?.endedFeeds ?? [] };
    encoder.sendOpening(opening, transport);
  }

  private makeTransport(request: IncomingMessage, response: ServerResponse, coding: Coding | undefined): Transport {
    const isAlone = claimSocket(request);
    if (request.httpVersionMajor === 1) request.socket.setKeepAlive?.(true, keepAliveMs); // a request that was injected has no real socket
    return handOver(request, response, isAlone, coding === 'gzip') ?? plainResponse(request, response);
  }
}

/** Whether a client has everything of all that it asks for, and nothing more will come. */
function isOver({ feeds }: Connection, { endedFeeds }: Replay, hasSource: boolean): boolean {
  return !hasSource && endedFeeds.length > 0 && endedFeeds.length === feeds.length;
}

/**
 * Aborts what was made for a request at once where its client leaves before it has a connection: the handler may be waiting.
 *
 * @returns what stops that
 */
function abortWhenLeft(request: FeedRequest, response: ServerResponse): () => void {
  if (!request.stop) return ignore;
  const abort = () => request.stop?.abort(); // not that of a run, which goes on
  response.once('close', abort);
  return () => response.off('close', abort);
}

function ignore() {}
