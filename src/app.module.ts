import { type DynamicModule, Module } from '@nestjs/common';
import { ScheduleModule } from '@nestjs/schedule';
import { FeedModule } from './feed/feed.module.js';
import { HealthModule } from './health/health.module.js';
import type { Workers } from './health/workers.js';
import { MetricsModule } from './metrics/metrics.module.js';
import type { Config } from './service/config.js';
import { DashboardModule } from './service/dashboard/dashboard.module.js';
import { HeapCollector } from './service/heap-collector.js';
import { WorkersModule } from './service/workers/workers.module.js';
import { WebhookModule } from './webhook/webhook.module.js';

/** The service: feeds, their health, metrics and dashboard. */
@Module({})
export class AppModule {
  /** @param workers the workers that serve the same port, where there are several */
  static from({ path, feed, tickets, webhook, dashboard }: Config, workers?: Workers): DynamicModule {
    return {
      module: AppModule,
      imports: [
        FeedModule.forRoot({ path, tickets, ...feed }),
        ...(webhook ? [WebhookModule.forRoot(webhook)] : []),
        ...(workers ? [WorkersModule.of(workers)] : []),
        HealthModule,
        MetricsModule,
        ...(dashboard ? [DashboardModule.of({ ...dashboard, feedPath: path, needsToken: !feed.public })] : []),
        ScheduleModule.forRoot(),
      ],
      providers: [HeapCollector],
    };
  }
}
