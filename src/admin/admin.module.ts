import { ConfigurableModuleBuilder, Module } from '@nestjs/common';
import { decorated } from '../feed/http/decorated.js';
import { adminControllerAt } from './admin.controller.js';
import { AdminGuard } from './admin.guard.js';
import { ADMIN_OPTIONS, type AdminModuleExtras, type AdminOptions, checkAdminOptions } from './admin.options.js';
import { adminFeedsControllerAt } from './admin-feeds.controller.js';

const noExtras: AdminModuleExtras = { path: undefined, guards: undefined, decorators: undefined };

const { ConfigurableModuleClass, MODULE_OPTIONS_TOKEN } = new ConfigurableModuleBuilder<AdminOptions>({ moduleName: 'FeedAdmin' })
  .setClassMethodName('forRoot')
  .setExtras<AdminModuleExtras>(noExtras, (definition, { path = 'admin', guards = [AdminGuard], decorators = [] }) => ({
    ...definition,
    controllers: [adminControllerAt, adminFeedsControllerAt].map((at) => decorated(at(path, guards), decorators)),
  }))
  .build();

/**
 * Routes for operators at `/admin`, for an application that imports `FeedModule`: who is connected, on all nodes; ending connections;
 * revocations; feeds and their history; nodes. Import it with `forRoot()` or `forRootAsync()`.
 */
@Module({ providers: [{ provide: ADMIN_OPTIONS, inject: [MODULE_OPTIONS_TOKEN], useFactory: checkAdminOptions }] })
export class AdminModule extends ConfigurableModuleClass {}
