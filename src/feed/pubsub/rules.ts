import { type FeedBounds, type HistoryBounds, type Retention } from '../broker/broker.js';
import { isOwnFeed } from '../message/feed-id.js';
import type { Start } from '../message/position.js';

/** How the feeds that match a pattern behave. */
export interface FeedRule {
  /** The most messages stored of each feed. Default: the option `historyLength`. 0: none. */
  readonly historyLength?: number | undefined;
  /** How long a message is stored, in milliseconds. Default: the option `historyTtlMs`. */
  readonly historyTtlMs?: number | undefined;
  /** The most bytes stored of each feed. Default: the option `historyBytes`. */
  readonly historyBytes?: number | undefined;
  /**
   * Whether the newest message of each feed is stored beyond its time to live, until a newer one comes, the feed is cleared, or
   * `historyTotalBytes` drops it. The end of a feed is not. Default: false.
   */
  readonly keepNewest?: boolean | undefined;
  /**
   * What a new connection without a position gets of what is stored: the `newest` message, `all`, or as many of the newest as this number.
   * Default: `none`.
   */
  readonly replay?: 'none' | 'newest' | 'all' | number | undefined;
  /**
   * Makes what a new connection without a position gets first, as a message of the type `snapshot`: the state that the feed's messages
   * change. It is asked once the connection is subscribed, so that no message is missed between the two; one that comes meanwhile follows the
   * snapshot, which may have it already. Connections that come while a snapshot is made share the next one. It takes the place of `replay`.
   *
   * What it throws is the answer: an HttpException as it is, anything else is logged and answered with 503. Default: no snapshot.
   */
  readonly snapshot?: ((feed: string) => unknown) | undefined;
  /** Whether a slow client skips to the newest message instead of getting each one. Default: false. */
  readonly conflate?: boolean | undefined;
  /** The most subscribers of each feed in this process; one more connection gets 503 with `Retry-After`. Default: no limit. */
  readonly maxSubscribers?: number | undefined;
  /**
   * The most messages a second that are published to each feed in this process, which may come at once; one more is rejected with 429 and
   * `Retry-After`. The end of a feed is not. Default: no limit.
   */
  readonly publishPerSecond?: number | undefined;
  /**
   * Who reads the feeds over the built-in routes, and over routes with `FeedAuthGuard`: everybody (`public`), or those with the key or a
   * `token` that grants it. Default: as the option `public` says.
   */
  readonly read?: 'public' | 'token' | undefined;
  /** Whether nodes tell each other who follows the feeds, for `occupied`, `vacated` and `lost`. Default: the option `presence`. */
  readonly presence?: boolean | undefined;
}

/** Rules by pattern: an id, or the beginning of one and a `*`. The most specific pattern that matches applies. */
export type FeedRules = Readonly<Record<string, FeedRule>>;

/** A rule with its pattern, and the bounds of its feeds; without, where they are those of all others. */
interface BoundedRule extends FeedRule {
  readonly pattern: string;
  readonly bounds: FeedBounds | undefined;
}

/** Finds the rule of a feed, and allocates nothing for that. */
export class RuleSet {
  /** Whether any rule has a snapshot. */
  readonly hasSnapshots: boolean;
  /** How much brokers store of the feeds whose rules say so; undefined where none does. */
  readonly retention: Retention | undefined;
  private readonly byFeed = new Map<string, BoundedRule>();
  /** The longest first. */
  private readonly byBeginning: { readonly beginning: string; readonly rule: BoundedRule }[] = [];

  /** @param bounds those of feeds whose rules say nothing of them */
  constructor(
    readonly rules: FeedRules = {},
    bounds?: HistoryBounds,
  ) {
    for (const [pattern, given] of Object.entries(rules)) {
      const rule = { ...given, pattern, bounds: bounds && boundsBy(given, bounds) };
      if (pattern.endsWith('*')) this.byBeginning.push({ beginning: pattern.slice(0, -1), rule });
      else this.byFeed.set(pattern, rule);
    }
    this.byBeginning.sort((one, other) => other.beginning.length - one.beginning.length);
    this.hasSnapshots = this.all.some(({ snapshot }) => snapshot !== undefined);
    const all = this.all.flatMap((rule) => (rule as BoundedRule).bounds ?? []);
    if (all.length > 0) this.retention = { all, of: (feed) => this.find(feed)?.bounds };
  }

  /** Each rule. */
  get all(): FeedRule[] {
    return [...this.byFeed.values(), ...this.byBeginning.map(({ rule }) => rule)];
  }

  of(feed: string): FeedRule | undefined {
    return this.find(feed);
  }

  /** The pattern of a feed's rule: one of few, however many feeds there are. Undefined where it has no rule. */
  patternOf(feed: string): string | undefined {
    return this.find(feed)?.pattern;
  }

  /** Where a subscriber of a feed begins that has no position. */
  startOf(feed: string): Start {
    const { replay = 'none' } = this.find(feed) ?? {};
    if (typeof replay === 'number') return { last: replay };
    if (replay === 'all') return 'earliest';
    return replay === 'newest' ? 'newest' : 'end';
  }

  private find(feed: string): BoundedRule | undefined {
    if (isOwnFeed(feed)) return undefined;
    const own = this.byFeed.get(feed);
    if (own) return own;
    for (const { beginning, rule } of this.byBeginning) if (feed.startsWith(beginning)) return rule;
    return undefined;
  }
}

function boundsBy(rule: FeedRule, all: HistoryBounds): FeedBounds | undefined {
  const { historyLength, historyTtlMs, historyBytes, keepNewest } = rule;
  if ([historyLength, historyTtlMs, historyBytes, keepNewest].every((value) => value === undefined)) return undefined;
  return {
    historyLength: historyLength ?? all.historyLength,
    historyTtlMs: historyTtlMs ?? all.historyTtlMs,
    historyBytes: historyBytes ?? all.historyBytes,
    keepNewest,
  };
}
