// An application with a feed full of history, on the platform that the first argument names, with the packages of the checkout in the folder
// that the second one names; the third one is the URL of its Redis, or `memory`.
import type { DynamicModule, INestApplication } from '@nestjs/common';
import { importerOf, serve } from './nest.js';

/** Messages, and bytes of each one's text. */
const [messages, bytes] = [1000, 200];

const [platform, folder, broker] = process.argv.slice(2);
const load = importerOf(folder);
const { Controller, Get, Module } = (await load('@nestjs/common')) as typeof import('@nestjs/common');
const { FeedModule, FeedService } = (await load('nestjs-feed')) as {
  FeedModule: { forRoot(options: object): DynamicModule };
  FeedService: new () => {
    publish(feed: string, data: unknown): Promise<unknown>;
    history(feed: string): Promise<{ messages: unknown[] }>;
  };
};
const { redisBroker } = (await load('nestjs-feed/redis')) as { redisBroker(url: string): unknown };

let app: INestApplication;

@Controller()
class HistoryController {
  /** What it takes the application to read the history, in milliseconds. */
  @Get('alone')
  async alone() {
    const begunAt = performance.now();
    const { messages } = await app.get(FeedService, { strict: false }).history('full');
    return { ms: performance.now() - begunAt, messages: messages.length };
  }

  /** How an application would answer with the history by itself. */
  @Get('own')
  own() {
    return app.get(FeedService, { strict: false }).history('full');
  }
}

const feeds = FeedModule.forRoot({
  path: 'feeds',
  public: true,
  historyLength: messages,
  ...(broker !== 'memory' && { broker: redisBroker(broker) }),
});

@Module({ imports: [feeds], controllers: [HistoryController] })
class AppModule {}

await serve(AppModule, platform, load, async (made) => {
  app = await made.init();
  const service = app.get(FeedService, { strict: false });
  for (let n = 0; n < messages; n += 1) await service.publish('full', { n, text: ''.padEnd(bytes - 20, 'x') });
});
