export type { FeedDefinition, FeedMessageOf, FeedNotice, FeedRef, FeedSchemas } from '../feed/message/feed-definition.js';
export { defineFeed } from '../feed/message/feed-definition.js';
export { FeedClientError } from './errors.js';
export {
  createFeedClient,
  type FeedClient,
  type FollowOptions,
} from './feed-client.js';
export type { Feed } from './feed-id.js';
export type { FeedMessages } from './messages.js';
export type { FeedObservable, FeedObserver, Unsubscribable } from './observable.js';
export type { FeedClientOptions, FeedStorage, TokenSource } from './options.js';
export type { History, HistoryQuery, Published, PublishOptions } from './publish.js';
export type { FeedClientStatus } from './status.js';
export type { FeedClientMessage } from './subscription.js';
