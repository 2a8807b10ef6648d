// What the Nest peers share. The packages are those of a checkout, found as an application in its folder would find them, so that the same
// program runs on two of them.
import 'reflect-metadata';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { INestApplication, Type } from '@nestjs/common';
import { listening } from './listening.js';

/** Imports packages by their names, as an application in the folder would. */
export function importerOf(folder: string): (name: string) => Promise<unknown> {
  const { resolve } = createRequire(join(folder, 'package.json'));
  return (name) => import(pathToFileURL(resolve(name)).href);
}

/**
 * Serves an application on the platform of that name: `express` or `fastify`. Only the one that is asked for is loaded.
 *
 * @param prepare what is done with the application before it listens
 */
export async function serve(
  module: Type,
  platform: string,
  load: (name: string) => Promise<unknown>,
  prepare: (app: INestApplication) => Promise<void> = async () => {},
): Promise<void> {
  const { NestFactory } = (await load('@nestjs/core')) as typeof import('@nestjs/core');
  const { ExpressAdapter, FastifyAdapter } = (await load(`@nestjs/platform-${platform}`)) as Record<string, new () => never>;
  const adapter = platform === 'fastify' ? new FastifyAdapter() : new ExpressAdapter();
  const app = await NestFactory.create(module, adapter, { logger: ['warn', 'error', 'fatal'] });
  await prepare(app);
  await app.listen(0, '127.0.0.1');
  listening(app.getHttpServer());
}
