import { FeedException } from '../errors/feed-exception.js';
import { type FeedRef, longestFeedId, segmentForm } from './feed-definition.js';

/** The rule for feed ids, as errors and documentation state it. */
export const feedIdRule =
  '1 to 200 characters out of A-Z a-z 0-9 . _ ~ : @ - with single slashes between them, and neither . nor .. as a segment';

/** The rule for patterns, as errors state it. */
export const feedPatternRule = "a feed's id, or the beginning of one and a * (orders/*), or * for every feed";

const segment = segmentForm.source.slice(1, -1); // without ^ and $
/** The form of a feed id: segments with single slashes between them. */
const feedIdForm = new RegExp(`^${segment}(?:/${segment})*$`);

/** Whether a name obeys `feedIdRule`. The module's own feeds, such as that of the nodes, do not: no client can follow them. */
export function isFeedId(id: unknown): id is string {
  return typeof id === 'string' && id.length <= longestFeedId && feedIdForm.test(id);
}

/** Whether a feed is one of the module's own, on which nodes talk to each other. */
export function isOwnFeed(feed: string): boolean {
  return feed.startsWith('$');
}

/** @throws FeedException FEED_ID (400) when the value breaks `feedIdRule` */
export function checkFeedId(id: unknown): string {
  if (!isFeedId(id)) throw new FeedException('FEED_ID', { message: `A feed's id is ${feedIdRule}.` });
  return id;
}

/**
 * Each of some feeds once.
 *
 * @throws FeedException FEED_ID (400)
 */
export function checkFeedIds(ids: readonly string[]): string[] {
  return [...new Set(ids)].map(checkFeedId);
}

/** The id of a feed that is named by it, or by a definition. */
export function feedIdOf(feed: string | FeedRef): string {
  return typeof feed === 'object' && feed !== null ? feed.id : feed;
}

/** Whether a value is a pattern: the beginning of an id, and perhaps a `*`. */
export function isFeedPattern(pattern: string): boolean {
  return /^[\w.~:@/-]*\*?$/.test(pattern) && pattern !== '';
}

/** Whether a pattern matches a feed. A `*` at its end stands for anything, including nothing. */
export function matchesFeed(pattern: string, feed: string): boolean {
  return pattern.endsWith('*') ? feed.startsWith(pattern.slice(0, -1)) : feed === pattern;
}
