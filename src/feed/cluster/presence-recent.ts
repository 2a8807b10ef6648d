/** Of how many feeds it is known when they were told last. */
const mostFeeds = 10_000;

/** In which telling each feed was told last, as far as that is not too long ago. */
export class RecentlyTold {
  private readonly versions = new Map<string, number>();
  private known: number;

  /** @param version of the telling since which everything is known */
  constructor(version: number) {
    this.known = version;
  }

  add(version: number, feeds: Iterable<string>): void {
    for (const feed of feeds) {
      this.versions.delete(feed);
      this.versions.set(feed, version);
    }
    for (const [feed, oldest] of this.versions) {
      if (this.versions.size <= mostFeeds) break;
      this.versions.delete(feed);
      this.known = oldest;
    }
  }

  /** Whether a feed was told, or may have been, after a telling. */
  isAfter(version: number, feed: string): boolean {
    return version < this.known || (this.versions.get(feed) ?? version) > version;
  }
}
