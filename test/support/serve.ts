import { createServer, type ServerOptions } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { DynamicModule, INestApplication, ModuleMetadata, NestApplicationOptions } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { FeedModule, FeedService } from '../../src/index.js';
import { Peer } from './peer.js';
import { until } from './until.js';

export { asJson, post, publishKey } from './post.js';
export { until } from './until.js';

/** The platforms that every test of a running system is held to. */
export const platforms = ['express', 'fastify'] as const;
export type Platform = (typeof platforms)[number];

export type ModuleOptions = NonNullable<Parameters<typeof FeedModule.forRoot>[0]>;

/** The module as most tests want it: with its routes, open to anyone where there are no tokens, and without a source. */
export function feedModule(options: ModuleOptions = {}): DynamicModule {
  const hasTokens = options.jwtSecret !== undefined || options.jwksUrl !== undefined;
  return FeedModule.forRoot({ path: 'feeds', public: !hasTokens, ...options });
}

export interface Served {
  app: INestApplication;
  feeds: FeedService;
  port: number;
  url: string;
}

/** The applications that are served; Nest's proxies let nobody replace `close()`, so that a hook tells which have been closed. */
const running = new Set<INestApplication>();

/** Express's adapter makes its server without options. */
class ConfiguredExpressAdapter extends ExpressAdapter {
  constructor(private readonly server: ServerOptions) {
    super();
  }

  override initHttpServer(): void {
    this.httpServer = createServer(this.server, this.getInstance());
  }
}

/** The platform's adapter, with options for its server. */
export function adapterOf(platform: Platform, server: ServerOptions = {}): ExpressAdapter | FastifyAdapter {
  return platform === 'express'
    ? new ConfiguredExpressAdapter(server)
    : new FastifyAdapter({ routerOptions: { maxParamLength: 1024 }, http: server });
}

/** Has Fastify read no body, as the service does, and as Nest's option `bodyParser: false` says it to Express alone. */
export function withoutParsers(adapter: unknown, bodyParser = false): void {
  if (bodyParser || !(adapter instanceof FastifyAdapter)) return;
  const instance = adapter.getInstance();
  instance.removeAllContentTypeParsers();
  instance.addContentTypeParser('*', (_request: unknown, _body: unknown, done: (error: null) => void) => done(null));
}

/** Starts an application of these modules and controllers on a free port. */
export async function serve(
  platform: Platform | ExpressAdapter | FastifyAdapter,
  metadata: ModuleMetadata,
  prepare: (app: INestApplication) => void = () => {},
  options: NestApplicationOptions = {},
): Promise<Served> {
  class Root {
    onApplicationShutdown(): void {
      running.delete(app);
    }
  }
  const adapter = typeof platform === 'string' ? adapterOf(platform) : platform;
  const app = await NestFactory.create({ module: Root, ...metadata }, adapter, { logger: false, abortOnError: false, ...options });
  running.add(app);
  prepare(app);
  await app.listen(0, '127.0.0.1');
  const { port } = app.getHttpServer().address() as AddressInfo;
  return { app, feeds: app.get(FeedService, { strict: false }), port, url: `http://127.0.0.1:${port}` };
}

/** As `serve()`, with `feedModule(options)` among the modules. */
export function serveFeeds(
  platform: Platform | ExpressAdapter | FastifyAdapter,
  options: ModuleOptions = {},
  metadata: ModuleMetadata = {},
  prepare?: (app: INestApplication) => void,
): Promise<Served> {
  return serve(platform, { ...metadata, imports: [feedModule(options), ...(metadata.imports ?? [])] }, prepare);
}

/** Has every peer leave, and closes what is still served: after each test, or after all where those share an application. */
export async function closeAll(): Promise<void> {
  Peer.leaveAll();
  await Promise.all([...running].map((app) => app.close()));
}

/** Opens a feed; it is counted when this resolves, unless it was refused. */
export async function follow({ port, feeds }: Pick<Served, 'port' | 'feeds'>, path: string, ...headers: string[]): Promise<Peer> {
  const { opened } = feeds.counts();
  const peer = await Peer.get(port, path, ...headers);
  await until(() => feeds.counts().opened > opened || peer.socket.destroyed);
  return peer;
}
