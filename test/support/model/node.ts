import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { getDefaultHighWaterMark } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { Controller, Get, Req, Res } from '@nestjs/common';
import { Registry } from '../../../src/feed/connection/registry.js';
import type { EndReason } from '../../../src/feed/stats/end-reason.js';
import { type ConnectOptions, Feed, type FeedConnection, FeedService } from '../../../src/index.js';
import { Link } from '../../../tools/link.mjs';
import type { BrokerKind } from '../brokers.js';
import { type Platform, type Served, serveFeeds } from '../serve.js';
import { FaultyBroker } from './faulty-broker.js';

/** How many bytes one connection may hold in its queue, and how many each item of a source has. */
const bufferBytes = 32_768;
const itemBytes = 12_000;
/** The items of a source; more than the system takes for a client that reads nothing. */
const itemCount = 400;

/** How long a drain may take, in milliseconds. */
const drainMs = 150;

type AnyRequest = IncomingMessage & { raw?: IncomingMessage };

/** What an application needs of the others and of the run. */
export interface NodeSettings {
  readonly platform: Platform;
  readonly kind: BrokerKind;
  /** The port of the engine; undefined for memory. */
  readonly enginePort: number | undefined;
  readonly prefix: string;
  readonly historyLength: number;
  /** Called with what a connection must never do. */
  onFault(fault: string): void;
}

/** One application: its routes open connections that can follow further feeds. */
export class ModelNode {
  isCut = false;
  /** By the feed that is a session's own. */
  readonly connections = new Map<string, FeedConnection>();
  readonly reasons = new Map<string, EndReason>();
  private readonly sockets = new Set<Socket>();
  private served!: Served;
  broker!: FaultyBroker;
  private link: Link | undefined = undefined;

  private constructor(private readonly settings: NodeSettings) {}

  static async start(settings: NodeSettings): Promise<ModelNode> {
    const node = new ModelNode(settings);
    const { platform, kind, enginePort, prefix, historyLength } = settings;
    node.link = enginePort === undefined ? undefined : await Link.to(enginePort);
    const controller = node.controller();
    node.served = await serveFeeds(
      platform,
      {
        broker: async (context) => {
          node.broker = new FaultyBroker(await kind.make(node.link?.port ?? 0, context, prefix));
          return node.broker;
        },
        rules: { 'fast/*': { conflate: true } },
        ...{ bufferBytes, historyLength, historyBytes: 1 << 26, stallMs: 0, heartbeatMs: 0, drainMs, maxConnections: 1000 },
      },
      { controllers: [controller] },
      (app) => {
        app.getHttpServer().on('connection', (socket: Socket) => {
          node.sockets.add(socket.once('close', () => node.sockets.delete(socket)));
        });
      },
    );
    node.feeds.events$.subscribe((event) => {
      if (event.type !== 'closed') return;
      const own = event.feeds.find((feed) => feed.startsWith('own/'));
      if (own !== undefined) node.reasons.set(own, event.reason);
    });
    return node;
  }

  /** Ends the connections that follow a feed on this node alone. */
  end(feed: string): void {
    this.served.app.get(Registry, { strict: false }).endAll({ feed }, 'completed');
  }

  get feeds(): FeedService {
    return this.served.feeds;
  }

  get port(): number {
    return this.served.port;
  }

  bufferedBytes(own: string): number {
    return this.feeds.count(own).bufferedBytes;
  }

  sever(): void {
    this.link?.sever();
  }

  cut(): void {
    if (!this.link) return;
    this.isCut = true;
    this.link.cut();
  }

  mend(): void {
    if (!this.isCut) return;
    this.isCut = false;
    this.link?.mend();
    this.link?.sever(); // as a network that was away for long: what was sent meanwhile is gone
  }

  /** Ends in good order. */
  async drain(): Promise<void> {
    this.mend();
    const closed = this.served.app.close();
    // Reads may be held for the whole of the drain, and no longer: a request that waits for its feed waits for the broker's answer.
    await Promise.race([closed, sleep(drainMs)]);
    this.broker.heal();
    await closed;
    await this.link?.close();
  }

  /** Ends as a process that is killed: nothing more leaves it. */
  async kill(): Promise<void> {
    this.sever();
    for (const socket of this.sockets) socket.destroy();
    await this.drain();
  }

  /** Waits until the broker takes messages. */
  async canPublish(): Promise<boolean> {
    return this.feeds.publish('probe', 'probe').then(
      () => true,
      () => false,
    );
  }

  private controller() {
    const node = this;

    @Controller()
    class ModelController {
      constructor(private readonly feeds: FeedService) {}

      @Get('own/handed')
      handed(@Req() request: AnyRequest, @Res() response: ServerResponse) {
        return this.connect(request, response);
      }

      @Get('kept')
      kept(@Req() request: AnyRequest, @Res() response: ServerResponse) {
        return this.connect(request, response);
      }

      /** So that `own/handed` is the path of a feed, whose sockets are handed over. */
      @Feed('own/:other')
      other() {}

      private async connect(request: AnyRequest, response: ServerResponse): Promise<void> {
        const { searchParams } = new URL((request.raw ?? request).url ?? '', 'http://test');
        const own = searchParams.get('own') ?? '';
        const options: ConnectOptions = { feeds: [own, ...searchParams.getAll('id')], resume: true };
        if (searchParams.has('source')) options.source = () => node.items(own);
        const connection = await this.feeds.connect(request, response, options);
        if (connection) node.connections.set(own, connection);
      }
    }
    return ModelController;
  }

  /** The items of a source; complains where one is pulled for a client that is full. */
  private async *items(own: string) {
    for (let n = 0; n < itemCount; n += 1) {
      const waiting = this.bufferedBytes(own);
      if (waiting > getDefaultHighWaterMark(false))
        this.settings.onFault(`an item was pulled while ${waiting} bytes waited for the client`);
      yield `item ${n} ${'x'.repeat(itemBytes)}`;
    }
    await new Promise(() => {});
  }
}
