export { AdminGuard } from './admin.guard.js';
export { AdminModule } from './admin.module.js';
export type { AdminModuleExtras, AdminOptions } from './admin.options.js';
export type { InspectedFeed } from './admin-feeds.controller.js';
