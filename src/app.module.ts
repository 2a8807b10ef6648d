import { type DynamicModule, Module } from '@nestjs/common';
import { ScheduleModule } from '@nestjs/schedule';
import type { Config } from './config.js';
import { FeedModule } from './feed/feed.module.js';
import { HealthModule } from './health/health.module.js';
import type { Siblings } from './health/siblings.js';
import { HeapCollector } from './heap-collector.js';
import { MetricsModule } from './metrics/metrics.module.js';
import { WebhookModule } from './webhook/webhook.module.js';
import { WorkersModule } from './workers/workers.module.js';

/** The service: feeds and what watches them. */
@Module({})
export class AppModule {
  /** @param siblings the processes that serve the same port, where there are several */
  static from({ path, feed, webhook }: Config, siblings?: Siblings): DynamicModule {
    return {
      module: AppModule,
      imports: [
        FeedModule.forRoot({ path, ...feed }),
        ...(webhook ? [WebhookModule.forRoot(webhook)] : []),
        ...(siblings ? [WorkersModule.of(siblings)] : []),
        HealthModule,
        MetricsModule,
        ScheduleModule.forRoot(),
      ],
      providers: [HeapCollector],
    };
  }
}
