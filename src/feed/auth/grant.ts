import { matchesFeed } from '../message/feed-pattern.js';

/** What the bearer of a key or a token may do. */
export class Grant {
  /** What the publish key grants. */
  static readonly everything = new Grant(['*'], ['*']);

  constructor(
    private readonly feeds: readonly string[],
    private readonly publish: readonly string[],
    /** Whose token it is: its `sub`. */
    readonly subject?: string,
    /** When the token ends, in milliseconds since 1970. Default: never. It may be farther away than a timer reaches. */
    readonly expiresAt?: number,
  ) {}

  /**
   * What a verified token's claims grant: `feeds` may be read and `publish` may be published to, each an array of patterns or
   * one pattern. A pattern is an id, or the beginning of ids followed by `*`; a `*` elsewhere stands for itself.
   * Whatever else a claim holds grants nothing.
   */
  static from({ feeds, publish, sub, exp }: Readonly<Record<string, unknown>>): Grant {
    return new Grant(
      patternsIn(feeds),
      patternsIn(publish),
      typeof sub === 'string' ? sub : undefined,
      typeof exp === 'number' ? exp * 1000 : undefined,
    );
  }

  mayRead(id: string): boolean {
    return this.feeds.some((pattern) => matchesFeed(pattern, id));
  }

  mayPublish(id: string): boolean {
    return this.publish.some((pattern) => matchesFeed(pattern, id));
  }
}

function patternsIn(claim: unknown): string[] {
  return [claim].flat().filter((pattern) => typeof pattern === 'string');
}
