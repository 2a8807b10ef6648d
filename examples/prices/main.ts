import { Injectable, Logger, Module, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { FeedModule, FeedService } from 'nestjs-feed';
import { concatMap, interval, type Subscription } from 'rxjs';
import { pageOf } from '../page.ts';

/** A simulated market: each price is a random walk. */
@Injectable()
class Market implements OnApplicationBootstrap, OnModuleDestroy {
  private readonly logger = new Logger(Market.name);
  private readonly prices = new Map(['ash', 'elm', 'fir', 'oak', 'pine', 'yew'].map((symbol, n) => [symbol, 40 + 25 * n]));
  private ticks: Subscription | undefined;

  constructor(private readonly feeds: FeedService) {}

  onApplicationBootstrap(): void {
    this.ticks = interval(80)
      .pipe(concatMap(() => this.tick()))
      .subscribe({ error: (error) => this.logger.error(error) });
  }

  onModuleDestroy(): void {
    this.ticks?.unsubscribe();
  }

  private async tick(): Promise<void> {
    const symbols = [...this.prices.keys()];
    const symbol = symbols[Math.floor(Math.random() * symbols.length)] as string;
    const price = (this.prices.get(symbol) as number) * (1 + (Math.random() - 0.5) / 100);
    this.prices.set(symbol, price);
    await this.feeds.publish(`prices/${symbol}`, { symbol, price: Number(price.toFixed(2)) });
  }
}

@Module({
  imports: [
    // A new client gets a price at once; a slow one skips to the newest, since old prices are of no use.
    FeedModule.forRoot({ path: 'feeds', public: true, rules: { 'prices/*': { replay: 'newest', conflate: true } } }),
  ],
  controllers: [pageOf(import.meta.url)],
  providers: [Market],
})
class AppModule {}

const app = await NestFactory.create(AppModule, new FastifyAdapter(), { logger: ['warn', 'error'] });
app.enableShutdownHooks(undefined, { useProcessExit: true });
await app.listen(process.env.PORT ?? 3000, '127.0.0.1');
const url = await app.getUrl();
console.log(`open ${url}\nor   curl -N '${url}/feeds?id=prices/oak&id=prices/yew'`);
