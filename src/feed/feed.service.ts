import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises';
import { type BeforeApplicationShutdown, Inject, Injectable, Logger, type OnModuleInit } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import type { ObservableInput } from 'rxjs';
import { type CloseReason, closeReasons } from './connection/close-reason.js';
import { Connection, type ConnectionOwner } from './connection/connection.js';
import { Encoder } from './connection/encoder.js';
import { Handover, handOver } from './connection/handover.js';
import { type AnyRequest, type AnyResponse, pathOf, rawOf, takeOver, targetOf } from './connection/platform.js';
import { carriesFeed, claim, keepResponse, setHead } from './connection/response.js';
import type { FeedCount, FeedCounts } from './feed.counts.js';
import { FeedFormatException, FeedUnavailableException } from './feed.errors.js';
import type { FeedItem } from './feed.message.js';
import { FEED_OPTIONS } from './feed.module-definition.js';
import type { ResolvedFeedOptions } from './feed.options.js';
import { FeedRoutes } from './feed.routes.js';
import { chooseFormat, formats } from './format/choice.js';
import type { Format } from './format/format.js';
import type { FeedContext } from './source/source.js';

/** How often a shutdown looks whether all clients have left, in milliseconds. */
const drainStepMs = 10;

/** Seconds after which a client that was refused may try again. */
const retryAfter = 5;

/** Owns every connection: opens, counts and ends them. */
@Injectable()
export class FeedService implements ConnectionOwner, OnModuleInit, BeforeApplicationShutdown {
  readonly bufferBytes: number;
  private readonly logger = new Logger(FeedService.name);
  private readonly connections = new Set<Connection>();
  private readonly encoders = new Map(formats.map((format) => [format, new Encoder(format)]));
  private readonly followers = new Map<string, number>();
  private readonly closedBy = Object.fromEntries(closeReasons.map((reason) => [reason, 0])) as Record<CloseReason, number>;
  private peak = 0;
  private openedEver = 0;
  private rejected = 0;
  private messages = 0;
  private bytes = 0;
  private draining = false;

  private handover: Handover | undefined;

  constructor(
    @Inject(FEED_OPTIONS) private readonly options: ResolvedFeedOptions,
    private readonly adapters: HttpAdapterHost,
    private readonly routes: FeedRoutes,
  ) {
    this.bufferBytes = options.bufferBytes;
  }

  /** The server is there, and does not listen yet. */
  onModuleInit(): void {
    if (!this.options.handover) return;
    const paths = this.routes.pattern();
    this.handover = Handover.install(this.adapters.httpAdapter?.getHttpServer(), (path) => paths.test(path));
  }

  /** Whether the service has begun to shut down and takes no further connection. */
  get isDraining(): boolean {
    return this.draining;
  }

  /** Connections open now. */
  get open(): number {
    return this.connections.size;
  }

  /** All connections that were ever opened. */
  get opened(): number {
    return this.openedEver;
  }

  /** The most connections that may be open; Infinity for no limit. */
  get limit(): number {
    return this.options.maxConnections;
  }

  /** The module's own source, for one connection: what `GET <path>/:id` follows. */
  source(context: FeedContext): ObservableInput<FeedItem> {
    return this.options.source(context);
  }

  /**
   * Whether a request may become a feed, and in which format; nothing is allocated yet.
   *
   * @throws FeedFormatException (406) when the client wants a format that nobody offers
   * @throws FeedUnavailableException (503, with `Retry-After`) at the limit and while the service shuts down
   */
  admit(request: AnyRequest, response: AnyResponse): Format {
    const target = targetOf(request);
    const query = target.indexOf('?');
    const wanted = query < 0 ? null : new URLSearchParams(target.slice(query)).get('format');
    const format = chooseFormat(rawOf(request).headers.accept, wanted);
    if (!format) throw new FeedFormatException(formats.map(({ name }) => name));
    if (this.draining) throw this.refuse(response, 'The service is shutting down.');
    if (this.open >= this.limit) {
      throw this.refuse(response, `All ${this.limit} connections are taken.`);
    }
    return format;
  }

  /**
   * Makes the response a feed: its head goes out with the source's first message, or a turn of the event loop later, and from
   * then on the connection lives until the client leaves, the source ends or the application ends it.
   *
   * @param source what the connection follows; unsubscribed as soon as the connection ends
   * @param feed the name it is counted under. Default: the request's path
   * @returns the connection; undefined where there is none, because it was a `HEAD` request or the client has left
   * @throws what `admit()` throws, and what the source fails with before the first byte
   */
  async connect(
    request: AnyRequest,
    response: AnyResponse,
    source: ObservableInput<FeedItem>,
    feed: string = pathOf(targetOf(request)),
  ): Promise<Connection | undefined> {
    const req = rawOf(request);
    const res = rawOf(response);
    const { socket } = req;
    if (carriesFeed(socket)) {
      takeOver(response);
      return undefined;
    }
    const format = this.admit(request, response);
    if (req.method === 'HEAD') {
      takeOver(response);
      setHead(req, res, format);
      res.end();
      return undefined;
    }
    const connection = new Connection(this, feed, this.encoders.get(format) as Encoder);
    this.connections.add(connection);
    try {
      connection.follow(source);
      if (!connection.hasEarly) await turn();
      if (socket.destroyed) {
        connection.end('client');
        this.connections.delete(connection);
        return undefined;
      }
      connection.open(() => {
        takeOver(response);
        setHead(req, res, format);
        claim(req);
        return handOver(req, res) ?? keepResponse(req, res);
      });
    } catch (error) {
      this.connections.delete(connection);
      throw error;
    }
    return connection;
  }

  /**
   * Ends all connections of a feed, or all there are.
   *
   * @param feed default: every feed
   * @returns how many connections that were
   */
  end(feed?: string, reason: CloseReason = 'completed'): number {
    let ended = 0;
    for (const connection of this.connections) {
      if (connection.reason !== undefined || (feed !== undefined && connection.feed !== feed)) continue;
      connection.end(reason);
      ended += 1;
    }
    return ended;
  }

  /** Counts over all feeds since the process started. */
  counts(): FeedCounts {
    let bufferedBytes = 0;
    let handedOver = 0;
    for (const connection of this.connections) {
      bufferedBytes += connection.bufferedBytes;
      if (connection.isHandedOver) handedOver += 1;
    }
    return {
      open: this.open,
      peak: this.peak,
      opened: this.opened,
      rejected: this.rejected,
      closed: { ...this.closedBy },
      feeds: this.followers.size,
      handedOver,
      messages: this.messages,
      bytes: this.bytes,
      bufferedBytes,
      limit: Number.isFinite(this.limit) ? this.limit : null,
    };
  }

  /** Counts of one feed; zeros where nobody follows it. */
  count(id: string): FeedCount {
    const counted: FeedCount = { id, open: this.followers.get(id) ?? 0, bufferedBytes: 0 };
    if (counted.open > 0) {
      for (const connection of this.connections) if (connection.feed === id) counted.bufferedBytes += connection.bufferedBytes;
    }
    return counted;
  }

  /**
   * Ends every feed, so that the server's `close()`, which waits for open responses, can finish; a client that does not read
   * the end of its feed within the drain time is cut off.
   */
  async beforeApplicationShutdown(): Promise<void> {
    this.draining = true;
    this.handover?.close();
    this.end(undefined, 'drained');
    const givesUp = performance.now() + this.options.drainMs;
    while (this.connections.size > 0 && performance.now() < givesUp) await sleep(drainStepMs);
    for (const connection of this.connections) connection.destroy();
    // A socket that is destroyed is closed, and counted, a turn of the event loop later.
    while (this.connections.size > 0) await turn();
  }

  /** @internal */
  onOpened({ feed }: Connection): void {
    this.openedEver += 1;
    this.peak = Math.max(this.peak, this.connections.size);
    this.followers.set(feed, (this.followers.get(feed) ?? 0) + 1);
  }

  /** @internal */
  onSent(bytes: number): void {
    this.messages += 1;
    this.bytes += bytes;
  }

  /** @internal */
  onFailed({ feed }: Connection, error: unknown): void {
    this.logger.error(`The source of feed "${feed}" failed: ${error instanceof Error ? error.stack : String(error)}`);
  }

  /** @internal */
  onClosed(connection: Connection): void {
    if (!this.connections.delete(connection)) return;
    const { feed, reason } = connection;
    this.closedBy[reason ?? 'client'] += 1;
    const left = (this.followers.get(feed) ?? 1) - 1;
    if (left > 0) this.followers.set(feed, left);
    else this.followers.delete(feed);
  }

  private refuse(response: AnyResponse, message: string): FeedUnavailableException {
    this.rejected += 1;
    rawOf(response).setHeader('Retry-After', retryAfter);
    return new FeedUnavailableException(message, retryAfter);
  }
}
