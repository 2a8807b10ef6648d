import { type DynamicModule, Module } from '@nestjs/common';
import { ScheduleModule } from '@nestjs/schedule';
import type { Config } from './config.js';
import { FeedModule } from './feed/feed.module.js';
import { HealthModule } from './health/health.module.js';
import { HeapCollector } from './heap-collector.js';
import { WebhookModule } from './webhook/webhook.module.js';

/** The service: feeds and what watches them. */
@Module({})
export class AppModule {
  static from({ path, feed, webhook }: Config): DynamicModule {
    return {
      module: AppModule,
      imports: [
        FeedModule.forRoot({ path, ...feed }),
        ...(webhook ? [WebhookModule.forRoot(webhook)] : []),
        HealthModule,
        ScheduleModule.forRoot(),
      ],
      providers: [HeapCollector],
    };
  }
}
