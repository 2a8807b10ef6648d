/** The rule for patterns, as errors tell it. */
export const feedPatternRule = "a feed's id, or the beginning of one and a * (orders/*), or * for every feed";

/** Whether a feed is meant: a `*` at a pattern's end stands for anything, also for nothing. */
export function matchesFeed(pattern: string, feed: string): boolean {
  return pattern.endsWith('*') ? feed.startsWith(pattern.slice(0, -1)) : feed === pattern;
}
