export type { CloseReason } from './feed/connection/close-reason.js';
export { closeReasons } from './feed/connection/close-reason.js';
export type { Connection } from './feed/connection/connection.js';
export type { FeedCount, FeedCounts } from './feed/feed.counts.js';
export type { FeedRouteOptions } from './feed/feed.decorator.js';
export { Feed } from './feed/feed.decorator.js';
export {
  FeedFormatException,
  FeedIdException,
  FeedModuleDuplicateError,
  FeedOptionsError,
  FeedUnavailableException,
} from './feed/feed.errors.js';
export { FeedIdPipe } from './feed/feed.id.pipe.js';
export type { FeedItem, FeedMessage } from './feed/feed.message.js';
export { FeedModule } from './feed/feed.module.js';
export type { FeedModuleExtras, FeedOptions } from './feed/feed.options.js';
export { FeedService } from './feed/feed.service.js';
export { intervalSource } from './feed/source/interval.source.js';
export type { FeedContext, FeedSource } from './feed/source/source.js';
