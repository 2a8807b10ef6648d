export type { AuthOptions } from './feed/auth/auth.options.js';
export type { Authorization, AuthorizeFunction, AuthorizeRequest, FeedClaims } from './feed/auth/authorize.js';
export type { AuthorizeAtOptions } from './feed/auth/authorize-at.js';
export { authorizeAt } from './feed/auth/authorize-at.js';
export { FeedAuthGuard } from './feed/auth/feed-auth.guard.js';
export type { FeedTokenRequest } from './feed/auth/feed-token.service.js';
export { FeedTokenService } from './feed/auth/feed-token.service.js';
export type { Revocation } from './feed/auth/revocations.js';
export type { FeedTicket } from './feed/auth/tickets.js';
export type {
  BrokerContext,
  BrokerFactory,
  FeedBounds,
  History,
  HistoryBounds,
  MessageSink,
  PublishConditions,
  Retention,
  StoredFeed,
  StoredIds,
} from './feed/broker/broker.js';
export { Broker } from './feed/broker/broker.js';
export type { IdRange } from './feed/broker/first-ids.js';
export type { ConnectionFilter, ConnectionInfo } from './feed/connection/connection-list.js';
export type { FeedConnection } from './feed/connection/feed-connection.js';
export type { ConnectOptions } from './feed/connection/feed-opener.js';
export {
  BrokerUnavailableError,
  FeedEndedError,
  FeedPositionError,
  KeyReusedError,
  MessageRejectedError,
  MessageTooLargeError,
} from './feed/errors/broker.errors.js';
export type { FeedErrorCode, FeedErrorDetails, FeedIssue } from './feed/errors/feed-exception.js';
export { FeedException } from './feed/errors/feed-exception.js';
export { FeedModuleDuplicateError, FeedOptionsError } from './feed/errors/feed-options.error.js';
export type { ConnectionPage, ConnectionQuery, DisconnectOptions, EndedCount, RevokeOptions } from './feed/feed.control.js';
export type { PublishAnswer, Rejection } from './feed/feed.controller.js';
export type { FeedRouteOptions } from './feed/feed.decorator.js';
export { Feed, FeedSignal } from './feed/feed.decorator.js';
export type { FeedDetails, FeedInfo, FeedPage, FeedQuery } from './feed/feed.directory.js';
export { FeedModule } from './feed/feed.module.js';
export type { FeedModuleExtras, FeedOptions } from './feed/feed.options.js';
export type { Occupancy, Presence, PresenceQuery, PresentUser } from './feed/feed.presence.js';
export { FeedService } from './feed/feed.service.js';
export type { TypedPublishOptions } from './feed/feed-publisher.js';
export { FeedPublisher } from './feed/feed-publisher.js';
export { FeedReader } from './feed/feed-reader.js';
export type { AsyncApiDocument, AsyncApiOptions } from './feed/http/asyncapi.js';
export { asyncApiDocument } from './feed/http/asyncapi.js';
export { FeedIdPipe } from './feed/http/feed-id.pipe.js';
export type { ApiFeedOptions } from './feed/http/openapi.js';
export { ApiFeed, withFeedItems } from './feed/http/openapi.js';
export type { LimitOptions } from './feed/limits/limit.options.js';
export type { FeedEnd } from './feed/message/end.js';
export { feedEndReasons, isEnd } from './feed/message/end.js';
export type {
  FeedDefinition,
  FeedDescription,
  FeedMessageOf,
  FeedNotice,
  FeedParameters,
  FeedRef,
  FeedSchemas,
  SchemasOf,
} from './feed/message/feed-definition.js';
export { defineFeed } from './feed/message/feed-definition.js';
export type { Content, FeedItem, FeedMessage, StoredMessage } from './feed/message/message.js';
export { storedMessage } from './feed/message/message.js';
export type { Position, Start } from './feed/message/position.js';
export { isPosition } from './feed/message/position.js';
export type { FeedHistory, HistoryOptions } from './feed/pubsub/history.js';
export type { PublishListener } from './feed/pubsub/message-publisher.js';
export type { PublishOptions } from './feed/pubsub/publish-options.js';
export type { FeedRule, FeedRules } from './feed/pubsub/rules.js';
export type { Producer } from './feed/run/run.js';
export type { RunOptions } from './feed/run/run.options.js';
export type { FeedRun } from './feed/run/runs.js';
export { intervalSource } from './feed/source/interval-source.js';
export type { FeedContext, FeedSource } from './feed/source/source.js';
export type { FeedCount, FeedCounts, NodeCounts, RejectReason } from './feed/stats/counts.js';
export type { EndReason } from './feed/stats/end-reason.js';
export { endReasons } from './feed/stats/end-reason.js';
export type { FeedClosed, FeedEvent, FeedFollowed, FeedOccupied, FeedOpened } from './feed/stats/events.js';
export type { FeedStatus } from './feed/stats/status.js';
export type { FeedTracer, Opened, OpeningTrace, TracedMessage } from './feed/tracing/feed-tracer.js';
