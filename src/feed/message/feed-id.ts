import { FeedException } from '../errors/feed-exception.js';

/** The rule for feed ids, as errors and documentation state it. */
export const feedIdRule = '1 to 200 characters out of A-Z a-z 0-9 . _ ~ : @ - with single slashes between them';

/** The rule for patterns, as errors state it. */
export const feedPatternRule = "a feed's id, or the beginning of one and a * (orders/*), or * for every feed";

/** The longest feed id, in characters. */
const longestFeedId = 200;

/** The form of a feed id. */
const feedIdForm = /^[\w.~:@-]+(?:\/[\w.~:@-]+)*$/;

/** @throws FeedException FEED_ID (400) when the value breaks `feedIdRule` */
export function checkFeedId(id: unknown): string {
  if (typeof id !== 'string' || id.length > longestFeedId || !feedIdForm.test(id)) throw invalidFeedId();
  return id;
}

/** @throws FeedException FEED_ID (400) for a feed of the module's own, such as that of the nodes: no client can follow it */
export function checkNotInternal(feed: string): void {
  if (feed.startsWith('$')) throw invalidFeedId();
}

function invalidFeedId(): FeedException {
  return new FeedException('FEED_ID', { message: `A feed's id is ${feedIdRule}.` });
}

/** Whether a value is a pattern: the beginning of an id, and perhaps a `*`. */
export function isFeedPattern(pattern: string): boolean {
  return /^[\w.~:@/-]*\*?$/.test(pattern) && pattern !== '';
}

/** Whether a pattern matches a feed. A `*` at its end stands for anything, including nothing. */
export function matchesFeed(pattern: string, feed: string): boolean {
  return pattern.endsWith('*') ? feed.startsWith(pattern.slice(0, -1)) : feed === pattern;
}
