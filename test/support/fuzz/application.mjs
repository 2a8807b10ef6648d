// An application as most have it: Nest's own body parsers in front of the feeds.
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { HealthModule } from '../../../dist/health/index.js';
import { FeedModule } from '../../../dist/index.js';

const platform = process.env.FEED_ADAPTER;
const adapter =
  platform === 'express'
    ? new (await import('@nestjs/platform-express')).ExpressAdapter()
    : new (await import('@nestjs/platform-fastify')).FastifyAdapter();

class Application {}
Module({ imports: [FeedModule.forRoot({ path: 'test', public: true, publishKey: process.env.FEED_PUBLISH_KEY }), HealthModule] })(
  Application,
);

const app = await NestFactory.create(Application, adapter, { logger: false });
app.enableShutdownHooks(undefined, { useProcessExit: true });
await app.listen(0, '127.0.0.1');
process.stdout.write(`http://127.0.0.1:${app.getHttpServer().address().port}\n`);
