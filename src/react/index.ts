'use client';
// Frameworks that render some components on the server alone take the line above for the border.

export { FeedProvider, type FeedProviderProps, useFeedClient } from './provider.js';
export { type FeedHookOptions, type FeedReducer, type MaybeFeeds, type NewestMessage, type ReducedFeed, useFeed } from './use-feed.js';
export { useFeedMessages } from './use-feed-messages.js';
export { useFeedStatus } from './use-feed-status.js';
