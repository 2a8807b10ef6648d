import { randomBytes } from 'node:crypto';
import { constants } from 'node:os';
import { ConsoleLogger, type INestApplication } from '@nestjs/common';
import { type AbstractHttpAdapter, NestFactory } from '@nestjs/core';
import { AppModule } from './app.module.js';
import { type Config, ConfigError, readConfig } from './config.js';
import { serveDocs } from './docs/docs.js';

/** Fastify answers parameters of more than 100 characters with 414; what an id may be is the feeds' own rule. */
const maxParamLength = 4096;

async function createApp(config: Config): Promise<INestApplication> {
  return NestFactory.create(AppModule.from(config), await platform(config.adapter), {
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

/** Where a client on this machine reaches a server that listens on `host`. */
function reachable(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1';
  if (host === '::') return '[::1]';
  return host.includes(':') ? `[${host}]` : host;
}

/** What went wrong, in a line, where it is something that whoever starts the service can mend. */
function startError(error: unknown, { host, port }: Partial<Config>): string | undefined {
  if (error instanceof ConfigError) return error.message;
  switch ((error as NodeJS.ErrnoException).code) {
    case 'EADDRINUSE':
      return `PORT ${port} on ${host} is in use: end what listens there, or set PORT to another one`;
    case 'EACCES':
      return `PORT ${port} on ${host} may not be opened by this user: ports below 1024 are often reserved`;
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return `HOST ${host} is not an address of this machine`;
    default:
      return undefined;
  }
}

/** The first signal has Nest close the application; whoever sends a second one does not want to wait. */
function endAtSecondSignal(): void {
  let signals = 0;
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      signals += 1;
      if (signals === 2) process.exit(128 + constants.signals[signal]);
    });
  }
}

let config: Config | undefined;
let app: INestApplication | undefined;
try {
  config = readConfig(process.env);
  const madeKey = config.feed.publishKey === undefined ? randomBytes(24).toString('base64url') : undefined;
  config.feed.publishKey ??= madeKey;
  app = await createApp(config);
  app.enableShutdownHooks(undefined, { useProcessExit: true });
  endAtSecondSignal();
  config.warnings.push(...(await serveDocs(app, config.path)));
  await app.listen(config.port, config.host);
  // What goes wrong before this point is told once, below, in words for whoever starts the service.
  app.useLogger(new ConsoleLogger({ logLevels: ['warn', 'error', 'fatal'] }));

  const { port } = app.getHttpServer().address() as { port: number };
  const url = `http://${reachable(config.host)}:${port}`;
  const feed = `${url}/${config.path.replace(/^\/|\/$/g, '')}/42`;
  const lines = [`nestjs-feed serves on ${url} (${config.adapter}); health: ${url}/health`, `try it: curl -N ${feed}`];
  if (madeKey) lines.push(`publish: curl -H 'Authorization: Bearer ${madeKey}' -H 'Content-Type: text/plain' -d hello ${feed}`);
  process.stdout.write(`${lines.join('\n')}\n`);
  for (const warning of config.warnings) process.stderr.write(`${warning}\n`);
} catch (error) {
  process.stderr.write(`${startError(error, config ?? {}) ?? (error as Error).stack}\n`);
  process.exitCode = 1;
  await app?.close();
}
