// A node of an application that runs producers, on a broker that it shares with others.
import { setTimeout as sleep } from 'node:timers/promises';
import { Controller, Module, Param, Post, Query } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FeedModule, FeedService } from '../../dist/index.js';

const { BROKER } = process.env;
const broker = BROKER.startsWith('redis')
  ? (await import('../../dist/feed/broker/redis/index.js')).redisBroker(BROKER)
  : (await import('../../dist/feed/broker/nats/index.js')).natsBroker(BROKER);

class Answers {
  constructor(feeds) {
    this.feeds = feeds;
  }

  /** So many tokens, one after the other; the first of each node says who made it. */
  async start(id, { count, everyMs, onLost }) {
    const produce = async function* (signal) {
      process.stdout.write(`producing ${id}\n`);
      signal.addEventListener('abort', () => process.stdout.write(`aborted ${id}\n`));
      for (let n = 0; n < Number(count); n += 1) {
        yield `t${n} `;
        await sleep(Number(everyMs), undefined, { signal });
      }
    };
    const { state } = await this.feeds.run(id, produce, { onLost });
    return { state };
  }
}
Controller('runs')(Answers);
Reflect.defineMetadata('design:paramtypes', [FeedService], Answers);
Post(':id')(Answers.prototype, 'start', Object.getOwnPropertyDescriptor(Answers.prototype, 'start'));
Param('id')(Answers.prototype, 'start', 0);
Query()(Answers.prototype, 'start', 1);

class Application {}
Module({
  imports: [FeedModule.forRoot({ path: 'feeds', public: true, broker, historyLength: 10_000, historyBytes: 1e7 })],
  controllers: [Answers],
})(Application);

const app = await NestFactory.create(Application, new ExpressAdapter(), { logger: false });
app.enableShutdownHooks(undefined, { useProcessExit: true });
await app.listen(0, '127.0.0.1');
process.stdout.write(`${await app.getUrl()}\n`);
