import { type DynamicModule, Module } from '@nestjs/common';
import { ScheduleModule } from '@nestjs/schedule';
import { AdminModule } from './admin/admin.module.js';
import { FeedModule } from './feed/feed.module.js';
import { HealthModule } from './health/health.module.js';
import type { Workers } from './health/workers.js';
import { MetricsModule } from './metrics/metrics.module.js';
import type { Config } from './service/config.js';
import { DashboardModule } from './service/dashboard/dashboard.module.js';
import { HeapCollector } from './service/heap-collector.js';
import { WorkersModule } from './service/workers/workers.module.js';
import { WebhookModule } from './webhook/webhook.module.js';

/** The service: feeds, their health, metrics, dashboard and the routes of operators. */
@Module({})
export class AppModule {
  /** @param workers the workers that serve the same port, where there are several */
  static from({ path, feed, tickets, admin, webhook, dashboard }: Config, workers?: Workers): DynamicModule {
    return {
      module: AppModule,
      imports: [
        FeedModule.forRoot({ path, tickets, ...feed }),
        ...(webhook ? [WebhookModule.forRoot(webhook)] : []),
        ...(workers ? [WorkersModule.of(workers)] : []),
        HealthModule,
        MetricsModule,
        ...(admin ? [AdminModule.forRoot(admin)] : []),
        ...(dashboard
          ? [DashboardModule.of({ ...dashboard, feedPath: path, needsToken: !feed.public, hasAdmin: admin !== undefined })]
          : []),
        ScheduleModule.forRoot(),
      ],
      providers: [HeapCollector],
    };
  }
}
