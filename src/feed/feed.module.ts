import { type DynamicModule, Logger, Module } from '@nestjs/common';
import { DiscoveryModule, ModulesContainer } from '@nestjs/core';
import { FeedAuthGuard } from './auth/feed-auth.guard.js';
import { FeedTokenService } from './auth/feed-token.service.js';
import type { Broker } from './broker/broker.js';
import { FeedModuleDuplicateError } from './errors/feed.errors.js';
import { feedControllerAt } from './feed.controller.js';
import {
  ASYNC_OPTIONS_TYPE,
  ConfigurableModuleClass,
  FEED_BROKER,
  FEED_OPTIONS,
  MODULE_OPTIONS_TOKEN,
  OPTIONS_TYPE,
} from './feed.module-definition.js';
import { type FeedModuleExtras, type ResolvedFeedOptions, resolveFeedOptions } from './feed.options.js';
import { FeedService } from './feed.service.js';
import { FeedRoutes } from './http/feed-routes.js';

/** Feeds for a Nest application. Import it once, with `forRoot()` or `forRootAsync()`. */
@Module({
  imports: [DiscoveryModule],
  providers: [
    FeedService,
    FeedTokenService,
    FeedRoutes,
    { provide: FEED_BROKER, inject: [FEED_OPTIONS], useFactory: makeBroker },
    { provide: FEED_OPTIONS, inject: [MODULE_OPTIONS_TOKEN], useFactory: resolveFeedOptions },
  ],
  exports: [FeedService, FeedTokenService, FEED_OPTIONS],
})
export class FeedModule extends ConfigurableModuleClass {
  /** @throws FeedModuleDuplicateError when the application imports the module more than once */
  constructor(modules: ModulesContainer) {
    super();
    const imported = [...modules.values()].filter(({ metatype }) => metatype === FeedModule);
    if (imported.length > 1) throw new FeedModuleDuplicateError();
  }

  static override forRoot(options: typeof OPTIONS_TYPE = {}): DynamicModule {
    return withRoute(super.forRoot(options), options);
  }

  static override forRootAsync(options: typeof ASYNC_OPTIONS_TYPE): DynamicModule {
    return withRoute(super.forRootAsync(options), options);
  }
}

function makeBroker(options: ResolvedFeedOptions): Broker | Promise<Broker> {
  const logger = new Logger(FeedModule.name);
  return options.broker({ ...options, log: (message) => logger.warn(message) });
}

function withRoute(module: DynamicModule, { path = 'feeds', isGlobal = true, guards = [FeedAuthGuard] }: FeedModuleExtras): DynamicModule {
  return { ...module, global: isGlobal, controllers: path === false ? [] : [feedControllerAt(path, guards)] };
}
