import { type DynamicModule, Module } from '@nestjs/common';
import { ScheduleModule } from '@nestjs/schedule';
import type { Config } from './config.js';
import { DashboardModule } from './dashboard/dashboard.module.js';
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
  static from({ path, feed, webhook, dashboard }: Config, siblings?: Siblings): DynamicModule {
    return {
      module: AppModule,
      imports: [
        FeedModule.forRoot({ path, ...feed }),
        ...(webhook ? [WebhookModule.forRoot(webhook)] : []),
        ...(siblings ? [WorkersModule.of(siblings)] : []),
        HealthModule,
        MetricsModule,
        ...(dashboard ? [DashboardModule.of({ ...dashboard, feedPath: path, needsToken: needsToken(feed) })] : []),
        ScheduleModule.forRoot(),
      ],
      providers: [HeapCollector],
    };
  }
}

/** Whether a token decides who reads. */
function needsToken({ jwtSecret, jwksUrl }: Config['feed']): boolean {
  return jwtSecret !== undefined || jwksUrl !== undefined;
}
