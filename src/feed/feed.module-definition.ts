import { ConfigurableModuleBuilder } from '@nestjs/common';
import { FeedAuthGuard } from './auth/feed-auth.guard.js';
import { feedControllerAt } from './feed.controller.js';
import type { FeedModuleExtras, FeedOptions } from './feed.options.js';

/** Injects where the built-in routes are. */
export const FEED_EXTRAS = Symbol('FEED_EXTRAS');

/** `MODULE_OPTIONS_TOKEN` has the options as the application gave them, `FEED_OPTIONS` the resolved ones. */
export const { ConfigurableModuleClass, MODULE_OPTIONS_TOKEN } = new ConfigurableModuleBuilder<FeedOptions>({ moduleName: 'Feed' })
  .setClassMethodName('forRoot')
  .setExtras<FeedModuleExtras>({ path: undefined, guards: undefined, isGlobal: true }, (definition, extras) => {
    const { path, guards = [FeedAuthGuard], isGlobal = true } = extras;
    return {
      ...definition,
      global: isGlobal,
      controllers: path === undefined ? [] : [feedControllerAt(path, guards)],
      providers: [...(definition.providers ?? []), { provide: FEED_EXTRAS, useValue: extras }],
    };
  })
  .build();
