import { ConfigurableModuleBuilder } from '@nestjs/common';
import type { FeedModuleExtras, FeedOptions } from './feed.options.js';

/** The `Broker` of the module. */
export const FEED_BROKER = Symbol('FEED_BROKER');

/** `MODULE_OPTIONS_TOKEN` has the options as the application gave them; `FeedService` gets them resolved, as `FEED_OPTIONS`. */
export const { ConfigurableModuleClass, MODULE_OPTIONS_TOKEN, OPTIONS_TYPE, ASYNC_OPTIONS_TYPE } =
  new ConfigurableModuleBuilder<FeedOptions>({ moduleName: 'Feed' })
    .setClassMethodName('forRoot')
    .setExtras<FeedModuleExtras>({ path: 'feeds', isGlobal: true }, (definition) => definition)
    .build();

/** The resolved options, for injection. */
export const FEED_OPTIONS = Symbol('FEED_OPTIONS');
