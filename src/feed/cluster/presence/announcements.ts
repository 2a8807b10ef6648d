import type { AnnouncedState, Announcement } from './presence-messages.js';

/** How many nodes are known at a time. Any program with access to the engine can claim to be one. */
export const mostNodes = 1000;
/** How many terms before its own are stored with a state. */
const mostPast = 30;
/** Of how many feeds the last announcement is known. */
const mostFeeds = 10_000;

/** The feeds that have been announced as occupied, after a number of announcements. */
export interface AnnouncedFeeds {
  /** Identifies the announcements that one process made without another one between them. */
  readonly term: string;
  /** How many announcements there have been, in all terms. */
  readonly version: number;
  /** The process that made the last announcement. */
  readonly announcer: string;
  /** The terms before this one, each with its last version. */
  readonly past: readonly (readonly [term: string, version: number])[];
  readonly feeds: Set<string>;
}

/**
 * The announcements, which all nodes receive in one order. Where the engine was split, nodes on both sides have made their own. When they
 * meet, the state with the higher version is valid. What the other side announced of a feed may be what a receiver heard last.
 */
export class Announcements {
  current: AnnouncedFeeds | undefined = undefined;
  /** The feeds that have to be announced again, also where nothing has changed. */
  readonly disputed = new Set<string>();
  /** The feeds on which void announcements differ from the valid ones, until a node has reported it to all. */
  readonly forks = new Set<string>();
  private readonly incoming = new Map<string, AnnouncedFeeds>();
  private recent = new RecentAnnouncements(-1);

  /**
   * Applies an announcement.
   *
   * @returns whether it is valid: `true`; `false` where another node was faster; undefined where an earlier one is missing here
   */
  apply({ id, term, version, after, occupied, vacated }: Announcement): boolean | undefined {
    const { current } = this;
    if (current && version <= current.version) return false;
    if (current?.term !== after || current.version + 1 !== version) return undefined;
    const { feeds } = current;
    const past = term === after ? current.past : [...current.past, [current.term, current.version] as const].slice(-mostPast);
    this.current = { term, version, announcer: id, past, feeds };
    for (const feed of occupied) feeds.add(feed);
    for (const feed of vacated) feeds.delete(feed);
    for (const feed of [...occupied, ...vacated]) this.disputed.delete(feed);
    this.recent.add(version, [...occupied, ...vacated]);
    return true;
  }

  /**
   * Takes over the state of another node, if it is newer.
   *
   * @returns whether it is newer: `true`; `false` where it is older; undefined where it is incomplete, or the same
   */
  adopt({ id, term, version, teller: announcer, past, begins, more, feeds }: AnnouncedState): boolean | undefined {
    const begun = begins ? { term, version, announcer, past, feeds: new Set<string>() } : this.incoming.get(id);
    this.incoming.delete(id);
    if (begun?.term !== term || begun.version !== version) return undefined;
    for (const feed of feeds) begun.feeds.add(feed);
    if (more) {
      if (this.incoming.size >= mostNodes) this.incoming.clear();
      this.incoming.set(id, begun);
      return undefined;
    }
    const { current } = this;
    const order = current ? version - current.version || compareTexts(term, current.term) : 1;
    if (order <= 0) return order < 0 ? false : undefined;
    if (current) this.noteFork(current, begun);
    for (const [from, { version: late }] of this.incoming) if (late <= version) this.incoming.delete(from);
    this.current = begun;
    // The first version is a state without an announcement.
    this.recent = new RecentAnnouncements(version === 0 ? -1 : version);
    this.disputed.clear();
    return true;
  }

  /** Notes the feeds of announcements that did not lead to the newer state, where they differ from it. */
  private noteFork(current: AnnouncedFeeds, newer: AnnouncedFeeds): void {
    // The nodes that had the newer state may not know that these are disputed.
    for (const feed of this.disputed) this.forks.add(feed);
    const last = lastCommon(current, newer);
    if (last === current.version) return;
    for (const feed of new Set([...current.feeds, ...newer.feeds])) {
      if (current.feeds.has(feed) !== newer.feeds.has(feed) && this.recent.isAfter(last, feed)) this.forks.add(feed);
    }
  }
}

/** The version in which each feed was announced last, as far as that is not too long ago. */
class RecentAnnouncements {
  private readonly versions = new Map<string, number>();
  private known: number;

  /** @param version the version since which all announcements are known */
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

  /** Whether a feed was announced, or may have been, after a version. */
  isAfter(version: number, feed: string): boolean {
    return version < this.known || (this.versions.get(feed) ?? version) > version;
  }
}

/** The version of the last announcement that led to both; -1 where none did. */
function lastCommon(one: AnnouncedFeeds, other: AnnouncedFeeds): number {
  const terms = new Map([...other.past, [other.term, other.version]]);
  const common = [...one.past, [one.term, one.version] as const].map(([term, version]) => Math.min(version, terms.get(term) ?? -1));
  return Math.max(-1, ...common);
}

/** Whether one announcement leads from the older state to the newer one. */
export function isNextAfter(newer: AnnouncedFeeds, older: AnnouncedFeeds): boolean {
  return newer.version === older.version + 1 && lastCommon(newer, older) === older.version;
}

function compareTexts(one: string, other: string): number {
  if (one === other) return 0;
  return one < other ? -1 : 1;
}
