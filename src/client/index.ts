export type { FeedDefinition, FeedMessageOf, FeedNotice, FeedRef, FeedSchemas } from '../feed/message/feed-definition.js';
export { defineFeed } from '../feed/message/feed-definition.js';
export { FeedClientError } from './errors.js';
export {
  createFeedClient,
  type Feed,
  type FeedClient,
  type FollowOptions,
  type History,
  type HistoryQuery,
  type Published,
  type PublishOptions,
} from './feed-client.js';
export type { FeedMessages } from './messages.js';
export type { FeedObservable, FeedObserver, Unsubscribable } from './observable.js';
export type { FeedClientOptions, FeedStorage, TokenSource } from './options.js';
export type { FeedClientStatus } from './status.js';
export type { FeedClientMessage } from './subscription.js';
