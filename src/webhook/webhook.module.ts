import { ConfigurableModuleBuilder, Module, type OnApplicationShutdown } from '@nestjs/common';
import { EMPTY, merge } from 'rxjs';
import { FeedService } from '../feed/feed.service.js';
import { Webhook } from './webhook.js';
import type { WebhookOptions } from './webhook.options.js';
import { WebhookLog } from './webhook-log.js';

const { ConfigurableModuleClass, MODULE_OPTIONS_TOKEN } = new ConfigurableModuleBuilder<WebhookOptions>({ moduleName: 'Webhook' })
  .setClassMethodName('forRoot')
  .build();

/**
 * Posts connection and presence events to a URL, for an application that imports `FeedModule`. Import it with `forRoot()` or
 * `forRootAsync()`, and inject `Webhook` for its `counts()`.
 */
@Module({
  providers: [
    {
      provide: Webhook,
      inject: [FeedService, MODULE_OPTIONS_TOKEN],
      useFactory: (feeds: FeedService, options: WebhookOptions) =>
        new Webhook(merge(feeds.events$, feeds.repeatedEvents$ ?? EMPTY), options, new WebhookLog()),
    },
  ],
  exports: [Webhook],
})
export class WebhookModule extends ConfigurableModuleClass implements OnApplicationShutdown {
  constructor(private readonly webhook: Webhook) {
    super();
  }

  /** Sends the remaining events: all connections have been closed by now. */
  onApplicationShutdown(): Promise<void> {
    return this.webhook.close();
  }
}
