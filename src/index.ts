export { FeedForbiddenException, FeedTokenError, FeedUnauthorizedException } from './feed/access/access.errors.js';
export type { AccessOptions } from './feed/access/access.options.js';
export { FeedAccessGuard } from './feed/access/feed-access.guard.js';
export type { FeedTokenRequest } from './feed/access/feed-token.service.js';
export { FeedTokenService } from './feed/access/feed-token.service.js';
export type { LimitOptions } from './feed/access/limit.options.js';
export type { Broker, BrokerContext, BrokerFactory, History, HistoryBounds, MessageSink, Start } from './feed/broker/broker.js';
export { BrokerAwayError, BrokerMessageTooLargeError, BrokerOptionsError } from './feed/broker/broker.js';
export type { Position } from './feed/broker/position.js';
export type { CloseReason } from './feed/connection/close-reason.js';
export { closeReasons } from './feed/connection/close-reason.js';
export type { Connection } from './feed/connection/connection.js';
export type { PublishAnswer } from './feed/feed.controller.js';
export type { FeedCount, FeedCounts, RejectReason } from './feed/feed.counts.js';
export type { FeedRouteOptions } from './feed/feed.decorator.js';
export { Feed } from './feed/feed.decorator.js';
export {
  FeedBodyTooLargeException,
  FeedBrokerException,
  FeedFormatException,
  FeedIdException,
  FeedIdsException,
  FeedMediaTypeException,
  FeedMessageException,
  FeedModuleDuplicateError,
  FeedOptionsError,
  FeedSinceException,
  FeedTooManyException,
  FeedUnavailableException,
} from './feed/feed.errors.js';
export type { FeedClosed, FeedEvent, FeedOpened, FeedPresence } from './feed/feed.events.js';
export { FeedIdPipe } from './feed/feed.id.pipe.js';
export type { FeedItem, FeedMessage } from './feed/feed.message.js';
export { FeedModule } from './feed/feed.module.js';
export type { FeedModuleExtras, FeedOptions } from './feed/feed.options.js';
export type { ConnectOptions } from './feed/feed.service.js';
export { FeedService } from './feed/feed.service.js';
export type { NodeCounts } from './feed/nodes/nodes.js';
export type { FeedRule, FeedRules } from './feed/routing/router.js';
export { intervalSource } from './feed/source/interval.source.js';
export type { FeedContext, FeedSource } from './feed/source/source.js';
