import { ConfigurableModuleBuilder } from '@nestjs/common';
import type { FeedModuleExtras, FeedOptions } from './feed.options.js';

/** The options as the application gave them; `FeedService` gets them resolved, as `FEED_OPTIONS`. */
/** The `Broker` of the module. */
export const FEED_BROKER = Symbol('FEED_BROKER');

export const { ConfigurableModuleClass, MODULE_OPTIONS_TOKEN, OPTIONS_TYPE, ASYNC_OPTIONS_TYPE } =
  new ConfigurableModuleBuilder<FeedOptions>({ moduleName: 'Feed' })
    .setClassMethodName('forRoot')
    .setExtras<FeedModuleExtras>({ path: 'feeds', isGlobal: true }, (definition) => definition)
    .build();

/** The resolved options, for injection. */
export const FEED_OPTIONS = Symbol('FEED_OPTIONS');
