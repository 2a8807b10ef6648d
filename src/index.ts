export type { AuthOptions } from './feed/auth/auth.options.js';
export { FeedAuthGuard } from './feed/auth/feed-auth.guard.js';
export type { FeedTokenRequest } from './feed/auth/feed-token.service.js';
export { FeedTokenService } from './feed/auth/feed-token.service.js';
export type { Broker, BrokerContext, BrokerFactory, History, HistoryBounds, MessageSink, Start } from './feed/broker/broker.js';
export { BrokerMessageTooLargeError, BrokerOptionsError, BrokerUnavailableError } from './feed/broker/broker.js';
export type { NodeCounts } from './feed/cluster/nodes.js';
export type { Connection } from './feed/connection/connection.js';
export { FeedForbiddenException, FeedTokenError, FeedUnauthorizedException } from './feed/errors/access.errors.js';
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
} from './feed/errors/feed.errors.js';
export type { PublishAnswer } from './feed/feed.controller.js';
export type { FeedRouteOptions } from './feed/feed.decorator.js';
export { Feed } from './feed/feed.decorator.js';
export { FeedModule } from './feed/feed.module.js';
export type { FeedModuleExtras, FeedOptions } from './feed/feed.options.js';
export type { ConnectOptions } from './feed/feed.service.js';
export { FeedService } from './feed/feed.service.js';
export { FeedIdPipe } from './feed/http/feed-id.pipe.js';
export type { LimitOptions } from './feed/limits/limit.options.js';
export type { FeedItem, FeedMessage } from './feed/message/message.js';
export type { Position } from './feed/message/position.js';
export type { FeedRule, FeedRules } from './feed/pubsub/router.js';
export { intervalSource } from './feed/source/interval-source.js';
export type { FeedContext, FeedSource } from './feed/source/source.js';
export type { FeedCount, FeedCounts, RejectReason } from './feed/stats/counts.js';
export type { EndReason } from './feed/stats/end-reason.js';
export { endReasons } from './feed/stats/end-reason.js';
export type { FeedClosed, FeedEvent, FeedOpened, FeedPresence } from './feed/stats/events.js';
