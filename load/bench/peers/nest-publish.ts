// An application that can be published to, on the platform that the first argument names, with the packages of the checkout in the folder
// that the second one names; the third one is the URL of its Redis, or `memory`.
import type { DynamicModule, INestApplication } from '@nestjs/common';
import { importerOf, serve } from './nest.js';

/** Publications that wait for Redis at a time, feeds that take turns, and messages that a feed keeps. */
const [inFlight, feeds, kept] = [64, 100, 100];

const [platform, folder, broker] = process.argv.slice(2);
const load = importerOf(folder);
const { Body, Controller, Module, Param, Post, Query } = (await load('@nestjs/common')) as typeof import('@nestjs/common');
const { FeedModule, FeedService } = (await load('nestjs-feed')) as {
  FeedModule: { forRoot(options: object): DynamicModule };
  FeedService: new () => { publish(feed: string, data: unknown): Promise<unknown> };
};
const { Redis } = (await load('ioredis')) as typeof import('ioredis');
const { redisBroker } = (await load('nestjs-feed/redis')) as { redisBroker(url: string): unknown };

let app: INestApplication;

/** Has something done so often, so many at a time. */
async function repeat(count: number, work: (n: number) => Promise<unknown>): Promise<{ count: number }> {
  let begun = 0;
  const worker = async () => {
    while (begun < count) await work(begun++);
  };
  await Promise.all(Array.from({ length: inFlight }, worker));
  return { count };
}

const message = { symbol: 'abc', price: 123.45, text: ''.padEnd(60, 'x') };

@Controller()
class PublishController {
  /** What reads the same body, and answers as much. */
  @Post('bare/:id')
  bare(@Param('id') feed: string, @Body() body: object) {
    return { id: `${Object.keys(body).length}-0/${feed}`, feed, subscribers: 0 };
  }

  /** Publishes to Redis. */
  @Post('publish')
  publish(@Query('count') count: string) {
    const service = app.get(FeedService, { strict: false });
    return repeat(Number(count), (n) => service.publish(`feed-${n % feeds}`, message));
  }

  /** The two commands that store and announce a message, alone. */
  @Post('commands')
  async commands(@Query('count') count: string) {
    const redis = new Redis(broker);
    const text = JSON.stringify(message);
    const done = await repeat(Number(count), (n) =>
      Promise.all([redis.xadd(`{bench}:${n % feeds}`, 'MAXLEN', kept, '*', 'm', text), redis.spublish(`{bench}:${n % feeds}`, text)]),
    );
    redis.disconnect();
    return done;
  }
}

const options = { path: 'feeds', publishKey: 'bench', public: true, historyLength: kept };

@Module({
  imports: [FeedModule.forRoot(broker === 'memory' ? options : { ...options, broker: redisBroker(broker) })],
  controllers: [PublishController],
})
class AppModule {}

await serve(AppModule, platform, load, async (made) => {
  app = made;
});
