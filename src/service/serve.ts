import { ConsoleLogger } from '@nestjs/common';
import { type AbstractHttpAdapter, NestFactory } from '@nestjs/core';
import { AppModule } from '../app.module.js';
import { FeedService } from '../feed/feed.service.js';
import { FeedHealthIndicator } from '../health/feed.health-indicator.js';
import type { Workers } from '../health/workers.js';
import { brokerFromUrl } from './broker-from-url.js';
import type { Config } from './config.js';
import { cors } from './cors.js';
import { dashboardWarning } from './dashboard/dashboard-files.js';
import { serveDocs } from './openapi/docs.js';
import { onSignals } from './signals.js';
import { Acceptance } from './workers/acceptance.js';

/** Fastify's default limit of 100 characters would reject longer ids with 414; the limit for ids is the feeds' own rule. */
const maxParamLength = 4096;

/**
 * How many connections may wait to be accepted; the kernel's limit (`net.core.somaxconn`) applies, too. With Node's default of 511, the rest
 * of thousands of clients that reconnect at once would wait for TCP retransmissions.
 */
const backlog = 16_384;

/** The running service. */
export interface Service {
  readonly port: number;
  /** For the operator, a line each. */
  readonly warnings: string[];
  readonly acceptance: Acceptance;
  /** Whether it has room for new connections, as `/health/ready` says. */
  isReady(): boolean;
  /** Ends all feeds and stops listening. */
  close(): Promise<void>;
}

/** Whether workers can listen on one port, each with a queue of its own in the kernel. Elsewhere they share one. */
const canShare = process.platform === 'linux' && isSince(22, 12);

function isSince(...[major, minor]: [number, number]): boolean {
  const [ownMajor = 0, ownMinor = 0] = process.versions.node.split('.').map(Number);
  return ownMajor > major || (ownMajor === major && ownMinor >= minor);
}

/**
 * Serves feeds in this process: alone until a signal ends it, as a worker until it is closed.
 *
 * @param workers the workers that serve the same port, where there are several
 * @throws the error that kept it from listening
 */
export async function serve(config: Config, workers?: Workers): Promise<Service> {
  const broker = await brokerFromUrl(config.broker);
  const noDashboard = config.dashboard && dashboardWarning(config.path);
  const dashboard = noDashboard === undefined ? config.dashboard : undefined;
  const module = AppModule.from({ ...config, dashboard, feed: { ...config.feed, broker } }, workers);
  const app = await NestFactory.create(module, await platform(config.adapter), {
    logger: false,
    abortOnError: false,
    // The routes that take a body read it themselves: any JSON value, or text.
    bodyParser: false,
  });
  try {
    if (!workers) {
      app.enableShutdownHooks(undefined, { useProcessExit: true });
      onSignals(() => {}); // Nest closes the application at the first one
    }
    const { trustedOrigins = [] } = config.feed;
    if (trustedOrigins.length > 0) app.use(cors(trustedOrigins, dashboard && '/dashboard'));
    const warnings = [...(await serveDocs(app, config.path, config.admin !== undefined)), ...(noDashboard ? [noDashboard] : [])];
    const listening = { host: config.host, port: config.port, backlog, ...(workers && canShare && { reusePort: true }) };
    await app.listen({ ...listening } as never); // Node's `listen()` options, on both adapters
    // Until here, errors are logged once, by the caller.
    app.useLogger(new ConsoleLogger({ logLevels: ['log', 'warn', 'error', 'fatal'], json: config.log === 'json' }));
    warnings.push(...brokerWarnings(app.get(FeedService, { strict: false })));
    const server = app.getHttpServer();
    const { port } = server.address() as { port: number };
    const health = app.get(FeedHealthIndicator, { strict: false });
    return {
      port,
      warnings,
      acceptance: new Acceptance(server, listening),
      isReady: () => health.isHealthy('feeds').feeds.status === 'up',
      close: () => app.close(),
    };
  } catch (error) {
    void app.close().catch(() => {}); // the first error is the one to report
    throw error;
  }
}

function brokerWarnings({ status }: FeedService): string[] {
  const { name, unavailableSince, unavailableReason = 'no response yet' } = status.broker;
  if (unavailableSince === undefined) return [];
  return [`${name} is unavailable (${unavailableReason}): messages are rejected until it is available again`];
}

/** Each adapter is imported only when it is configured. */
async function platform(adapter: Config['adapter']): Promise<AbstractHttpAdapter> {
  if (adapter === 'express') {
    const express = new (await import('@nestjs/platform-express')).ExpressAdapter();
    // As on Fastify, and in the rules of proxies: what these hide as /metrics must not be found as /Metrics. The setting `case sensitive
    // routing` would come too late: Nest's adapter has made the router.
    (express.getInstance() as { router: { caseSensitive: boolean } }).router.caseSensitive = true;
    return express;
  }
  const fastify = new (await import('@nestjs/platform-fastify')).FastifyAdapter({
    routerOptions: { maxParamLength, ignoreTrailingSlash: true },
  });
  const instance = fastify.getInstance();
  // By default Fastify parses bodies, and rejects some of them before the guards run.
  instance.removeAllContentTypeParsers();
  instance.addContentTypeParser('*', (_request, _body, done) => done(null));
  return fastify;
}
