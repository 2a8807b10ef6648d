import { ConfigurableModuleBuilder, Module, type OnApplicationShutdown } from '@nestjs/common';
import { FeedService } from '../feed/feed.service.js';
import { Webhook } from './webhook.js';
import { WebhookLog } from './webhook.log.js';
import type { WebhookOptions } from './webhook.options.js';

const { ConfigurableModuleClass, MODULE_OPTIONS_TOKEN } = new ConfigurableModuleBuilder<WebhookOptions>({ moduleName: 'Webhook' })
  .setClassMethodName('forRoot')
  .build();

/**
 * Tells a URL who follows which feed, for an application that imports `FeedModule`: with `forRoot()` or `forRootAsync()`.
 * `Webhook` is there for injection, with its `counts()`.
 */
@Module({
  providers: [
    {
      provide: Webhook,
      inject: [FeedService, MODULE_OPTIONS_TOKEN],
      useFactory: (feeds: FeedService, options: WebhookOptions) => new Webhook(feeds.events$, options, new WebhookLog()),
    },
  ],
  exports: [Webhook],
})
export class WebhookModule extends ConfigurableModuleClass implements OnApplicationShutdown {
  constructor(private readonly webhook: Webhook) {
    super();
  }

  /** Every feed has been ended by now: sends what tells of that. */
  onApplicationShutdown(): Promise<void> {
    return this.webhook.close();
  }
}
