import { BadRequestException, Body, Controller, HttpCode, Module, Post } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { Feed, FeedModule, FeedService } from 'nestjs-feed';
import { redisBroker } from 'nestjs-feed/redis';
import { exhaustMap, map, timer } from 'rxjs';
import { pageOf } from '../page.ts';

@Controller()
class DrawingController {
  constructor(private readonly feeds: FeedService) {}

  @Post('drawing')
  @HttpCode(204)
  async draw(@Body('line') line: unknown): Promise<void> {
    if (!Array.isArray(line) || line.length > 200 || !line.every((value) => typeof value === 'number')) throw new BadRequestException();
    await this.feeds.publish('drawing', { by: process.pid, line });
  }

  @Feed('cluster/processes')
  processes() {
    return timer(0, 1000).pipe(
      exhaustMap(() => this.feeds.cluster()),
      map(({ nodes }) => ({ me: process.pid, nodes: nodes.map(({ name, open }) => ({ name, open })) })),
    );
  }
}

@Module({
  imports: [
    FeedModule.forRoot({
      path: 'feeds',
      public: true,
      broker: redisBroker(process.env.REDIS_URL ?? 'redis://127.0.0.1:6379'),
      nodeName: `${process.pid}`,
      // A drawing consists of many pieces of lines, and should still be there tomorrow.
      historyLength: 10_000,
      historyTtlMs: 86_400_000,
      historyBytes: 16_777_216,
    }),
  ],
  controllers: [DrawingController, pageOf(import.meta.url)],
})
class AppModule {}

const app = await NestFactory.create(AppModule, new FastifyAdapter(), { logger: ['warn', 'error'] });
app.enableShutdownHooks(undefined, { useProcessExit: true });
await app.listen(process.env.PORT ?? 3000, '127.0.0.1');
const url = await app.getUrl();
console.log(`open ${url}\nthen PORT=${Number(new URL(url).port) + 1} npm run example -- redis, and draw in both windows`);
if (app.get(FeedService).status.broker.unavailableSince !== undefined)
  console.log('no Redis yet: docker run -p 6379:6379 redis, or set REDIS_URL');
