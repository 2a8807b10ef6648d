/** How many prefixes are known at the most: where they have parameters, there may be any number. */
const mostPrefixes = 100;

/** Tells requests for feeds by their targets, without the application's router. */
export class FeedTargets {
  /** What stands before the paths of routes, as far as feeds have been opened there: a global prefix, a version, a mounted module's path. */
  private readonly prefixes = new Set<string>();

  /**
   * @param feeds matches the targets of feeds, whatever their prefix, which is its first group
   * @param others matches the targets of other routes, whatever their prefix
   */
  constructor(
    private readonly feeds: RegExp,
    private readonly others: RegExp,
  ) {}

  /** Whether a target may be that of a feed. */
  mayBe(target: string): boolean {
    return this.feeds.test(target);
  }

  /** Whether a target is that of a feed: feeds have been opened at its prefix, and no other route matches it. */
  is(target: string): boolean {
    const prefix = this.feeds.exec(target)?.[1];
    return prefix !== undefined && this.prefixes.has(prefix) && !this.others.test(target);
  }

  /** A feed was opened at this target. */
  learn(target: string): void {
    const prefix = this.feeds.exec(target)?.[1];
    if (prefix !== undefined && this.prefixes.size < mostPrefixes) this.prefixes.add(prefix);
  }
}
