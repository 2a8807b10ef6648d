import { createServer, type ServerOptions } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { INestApplication, ModuleMetadata } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { FeedService } from '../../src/index.js';

/** The platforms that every test of a running system is held to. */
export const platforms = ['express', 'fastify'] as const;
export type Platform = (typeof platforms)[number];

export interface Served {
  app: INestApplication;
  feeds: FeedService;
  port: number;
  url: string;
}

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

/** Starts an application of these modules and controllers on a free port. */
export async function serve(
  platform: Platform,
  metadata: ModuleMetadata,
  prepare: (app: INestApplication) => void = () => {},
): Promise<Served> {
  class Root {}
  const app = await NestFactory.create({ module: Root, ...metadata }, adapterOf(platform), { logger: false, abortOnError: false });
  prepare(app);
  await app.listen(0, '127.0.0.1');
  const { port } = app.getHttpServer().address() as AddressInfo;
  return { app, feeds: app.get(FeedService, { strict: false }), port, url: `http://127.0.0.1:${port}` };
}

/** Waits until the condition holds: for what a server does after the last event that its client can see. Gives up after 10 s. */
export async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  const givesUp = performance.now() + 10_000;
  while (!(await holds())) {
    if (performance.now() > givesUp) throw new Error(`waited for ${holds} in vain`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
