import { ConsoleLogger, type INestApplication } from '@nestjs/common';
import { type AbstractHttpAdapter, NestFactory } from '@nestjs/core';
import { AppModule } from '../app.module.js';
import { FeedService } from '../feed/feed.service.js';
import type { Workers } from '../health/workers.js';
import { brokerOf } from './broker-from-url.js';
import type { Config } from './config.js';
import { whyNoDashboard } from './dashboard/dashboard.files.js';
import { serveDocs } from './openapi/docs.js';
import { onSignals } from './signals.js';

/** Fastify answers parameters of more than 100 characters with 414; what an id may be is the feeds' own rule. */
const maxParamLength = 4096;

/**
 * How many connections may wait to be accepted, as far as the kernel allows it (`net.core.somaxconn`). Node asks for 511: with thousands of
 * clients that come back at once, those beyond it would wait for their retransmissions.
 */
const backlog = 16_384;

/** The service as it runs in this process. */
export interface Service {
  readonly port: number;
  /** What whoever starts it should know, a line each. */
  readonly warnings: string[];
  /** Ends its feeds and stops listening. */
  close(): Promise<void>;
}

/**
 * Serves feeds in this process, until a signal ends it.
 *
 * @param workers the processes that serve the same port, where there are several
 * @throws what keeps it from listening
 */
export async function serve(config: Config, workers?: Workers): Promise<Service> {
  const broker = await brokerOf(config.broker);
  const noDashboard = config.dashboard && whyNoDashboard(config.path);
  const dashboard = noDashboard === undefined ? config.dashboard : undefined;
  const app = await createApp({ ...config, dashboard, feed: { ...config.feed, broker } }, workers);
  try {
    app.enableShutdownHooks(undefined, { useProcessExit: true });
    onSignals(() => {}); // Nest closes the application at the first
    const warnings = [...config.warnings, ...(await serveDocs(app, config.path)), ...(noDashboard ? [noDashboard] : [])];
    await app.listen({ host: config.host, port: config.port, backlog } as never); // as Node's own `listen()`, on both adapters
    // What goes wrong before this point is told once, in words for whoever starts the service.
    app.useLogger(new ConsoleLogger({ logLevels: ['log', 'warn', 'error', 'fatal'], json: config.log === 'json' }));
    const { name, unavailableSince, unavailableReason = 'no answer yet' } = app.get(FeedService, { strict: false }).status.broker;
    if (unavailableSince !== undefined) warnings.push(`${name} is away (${unavailableReason}): until it is back, nothing can be published`);
    const { port } = app.getHttpServer().address() as { port: number };
    return { port, warnings, close: () => app.close() };
  } catch (error) {
    void app.close().catch(() => {}); // what is to be told is why it did not start
    throw error;
  }
}

async function createApp(config: Config, workers: Workers | undefined): Promise<INestApplication> {
  return NestFactory.create(AppModule.from(config, workers), await platform(config.adapter), {
    logger: false,
    abortOnError: false,
    // The routes that take a body read it by themselves: JSON of any kind, and text.
    bodyParser: false,
  });
}

/** Each adapter is loaded only where it is asked for. */
async function platform(adapter: Config['adapter']): Promise<AbstractHttpAdapter> {
  if (adapter === 'express') return new (await import('@nestjs/platform-express')).ExpressAdapter();
  const fastify = new (await import('@nestjs/platform-fastify')).FastifyAdapter({
    routerOptions: { maxParamLength, ignoreTrailingSlash: true },
  });
  const instance = fastify.getInstance();
  // Fastify would parse bodies without being told to, and refuse some before the guard has seen them.
  instance.removeAllContentTypeParsers();
  instance.addContentTypeParser('*', (_request, _body, done) => done(null));
  return fastify;
}
