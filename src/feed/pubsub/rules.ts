import { matchesFeed } from '../message/feed-id.js';

/** How the feeds that match a pattern behave. */
export interface FeedRule {
  /** `newest` sends each new connection the newest message at once, as long as history stores it. Default: no message. */
  readonly replay?: 'newest';
  /** Whether a slow client skips to the newest message instead of getting each one. Default: false. */
  readonly conflate?: boolean;
}

/** Rules by pattern: an id, or the beginning of one and a `*`. The most specific pattern that matches applies. */
export type FeedRules = Readonly<Record<string, FeedRule>>;

/** Finds the rule of a feed. */
export class RuleSet {
  /** The most specific first: an id, then the longest beginning. */
  private readonly rules: [pattern: string, rule: FeedRule][];

  constructor(rules: FeedRules) {
    const isWide = (pattern: string) => Number(pattern.endsWith('*'));
    this.rules = Object.entries(rules).sort(([one], [other]) => isWide(one) - isWide(other) || other.length - one.length);
  }

  of(feed: string): FeedRule | undefined {
    return this.rules.find(([pattern]) => matchesFeed(pattern, feed))?.[1];
  }
}
