import { type FeedErrorCode, FeedException } from '../errors/feed-exception.js';
import { Distribution } from './distribution.js';
import type { EndReason } from './end-reason.js';

/** How a client resumes that gives a position: nothing was missed, what it missed is replayed, or a part of that is gone. */
export const resumeResults = ['live', 'recovered', 'reset'] as const;

export type ResumeResult = (typeof resumeResults)[number];

/** The rule of feeds that no pattern matches. */
const noRule = 'none';

/** From a loopback's to a broker that is a minute behind, in seconds. */
const lagBounds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60];
/** From a few messages in memory to a client that reads a long history slowly, in seconds. */
const replayBounds = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 60];
/** From a client that gives up at once to one that stays for a day, in seconds. */
const lifeBounds = [1, 10, 60, 300, 1800, 3600, 21_600, 86_400];

/** What is measured of the feeds of one rule, since the process started. */
export class RuleMeasures {
  /** Whether anything is measured. */
  isOn = false;
  /** Connections that resumed, by result. */
  readonly resumes: Record<ResumeResult, number> = { live: 0, recovered: 0, reset: 0 };
  /** Messages of history that were sent to new connections. */
  replayed = 0;
  /** How long it took to send them, in seconds. */
  readonly replay = new Distribution(replayBounds);
  private readonly lives = new Map<EndReason, Distribution>();
  /** How long after their publication messages had been passed to all their subscribers here, in seconds. */
  readonly lag = new Distribution(lagBounds);
  /** Requests that were answered with an error, and messages of them that were, by its code. */
  readonly refused = new Map<FeedErrorCode, number>();

  /** @param rule its pattern */
  constructor(readonly rule: string) {}

  noteEnd(reason: EndReason, durationMs: number): void {
    if (!this.isOn) return;
    this.lifeOf(reason).add(durationMs / 1000);
  }

  /** How long connections were open that ended for a reason, in seconds. */
  lifeOf(reason: EndReason): Distribution {
    const known = this.lives.get(reason);
    if (known) return known;
    const life = new Distribution(lifeBounds);
    this.lives.set(reason, life);
    return life;
  }

  /** @param time when the broker stored the message, by the clock of its server */
  noteDelivery(time: number): void {
    this.lag.add(Math.max(0, Date.now() - time) / 1000);
  }
}

/** What metrics show beside the counts. Nothing is measured until they ask for it. */
export class Measures {
  /** Those of each rule, and of the feeds without. */
  readonly all: readonly RuleMeasures[];
  /** Those of the feeds without a rule. */
  readonly rest = new RuleMeasures(noRule);
  private readonly byRule: ReadonlyMap<string | undefined, RuleMeasures>;

  /**
   * @param patterns those of all rules
   * @param patternOf that of a feed's rule; undefined where it has none
   */
  constructor(
    patterns: readonly string[],
    private readonly patternOf: (feed: string) => string | undefined,
  ) {
    this.byRule = new Map(patterns.map((pattern) => [pattern, new RuleMeasures(pattern)]));
    this.all = [...this.byRule.values(), this.rest];
  }

  begin(): void {
    for (const measures of this.all) measures.isOn = true;
  }

  /** Those of a feed's rule. */
  of(feed: string | undefined): RuleMeasures {
    if (this.byRule.size === 0) return this.rest;
    return (feed === undefined ? undefined : this.byRule.get(this.patternOf(feed))) ?? this.rest;
  }

  /** Notes an error that is the answer to a request, or to a message of one. */
  noteRefusal(error: unknown, feed?: string): void {
    if (!this.rest.isOn || !(error instanceof FeedException)) return;
    const { refused } = this.of(feed);
    refused.set(error.code, (refused.get(error.code) ?? 0) + 1);
  }
}
