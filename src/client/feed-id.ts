import { type FeedRef, longestFeedId, segmentForm } from '../feed/message/feed-definition.js';

/** A feed: its id, or a ref of its definition. */
export type Feed = string | FeedRef;

export function isRef(feed: Feed): feed is FeedRef {
  return typeof feed !== 'string';
}

/** @throws TypeError where it is no feed's */
export function idOf(feed: Feed): string {
  const id = typeof feed === 'string' ? feed : feed?.id;
  if (typeof id === 'string' && id.length <= longestFeedId && id.split('/').every((segment) => segmentForm.test(segment))) return id;
  throw new TypeError(`Not a feed's id (1 to ${longestFeedId} of A-Z a-z 0-9 . _ ~ : @ - /): ${id}`);
}
