import type { State, Told } from './presence-message.js';
import { RecentlyTold } from './presence-recent.js';

/** How many nodes are known at a time: any program that can reach the server can speak as some. */
export const mostNodes = 1000;
/** How many terms before its own a telling knows. */
const mostPast = 30;

/** Which feeds have been told as occupied. */
export interface Telling {
  /** What the tellings have in common that one process told one after the other. */
  readonly term: string;
  /** How many tellings there have been, in all terms. */
  readonly version: number;
  /** The process that told last. */
  readonly teller: string;
  /** The terms before this one, each with its last version. */
  readonly past: readonly (readonly [term: string, version: number])[];
  readonly feeds: Set<string>;
}

/**
 * What has been told, as all nodes hear it in one order. Where the server was split, nodes on both sides have told on their own: when they
 * meet, the telling with the higher version counts. What the other side told of a feed may have been heard last.
 */
export class ToldFeeds {
  telling: Telling | undefined = undefined;
  /** The feeds that have to be told again, whatever was told. */
  readonly doubted = new Set<string>();
  /** The feeds of which something else was told in tellings that count no more, until a node has said so to all. */
  readonly forks = new Set<string>();
  private readonly incoming = new Map<string, Telling>();
  private recent = new RecentlyTold(-1);

  /**
   * Takes what a node tells.
   *
   * @returns whether it counts: `true`; `false` where another node was faster; undefined where something before it is missing here
   */
  tell({ id, term, version, after, occupied, vacated }: Told): boolean | undefined {
    const { telling } = this;
    if (telling && version <= telling.version) return false;
    if (telling?.term !== after || telling.version + 1 !== version) return undefined;
    const { feeds } = telling;
    const past = term === after ? telling.past : [...telling.past, [telling.term, telling.version] as const].slice(-mostPast);
    this.telling = { term, version, teller: id, past, feeds };
    for (const feed of occupied) feeds.add(feed);
    for (const feed of vacated) feeds.delete(feed);
    for (const feed of [...occupied, ...vacated]) this.doubted.delete(feed);
    this.recent.add(version, [...occupied, ...vacated]);
    return true;
  }

  /**
   * Takes what another node knows to have been told; the newest counts.
   *
   * @returns whether it counts: `true`; `false` where something newer is known here; undefined where it is not complete, or the same
   */
  adopt({ id, term, version, teller, past, begins, more, feeds }: State): boolean | undefined {
    const begun = begins ? { term, version, teller, past, feeds: new Set<string>() } : this.incoming.get(id);
    this.incoming.delete(id);
    if (begun?.term !== term || begun.version !== version) return undefined;
    for (const feed of feeds) begun.feeds.add(feed);
    if (more) {
      if (this.incoming.size >= mostNodes) this.incoming.clear();
      this.incoming.set(id, begun);
      return undefined;
    }
    const { telling } = this;
    const order = telling ? version - telling.version || compareTexts(term, telling.term) : 1;
    if (order <= 0) return order < 0 ? false : undefined;
    if (telling) this.noteFork(telling, begun);
    for (const [from, { version: late }] of this.incoming) if (late <= version) this.incoming.delete(from);
    this.telling = begun;
    // With the first version of all, nothing is told.
    this.recent = new RecentlyTold(version === 0 ? -1 : version);
    this.doubted.clear();
    return true;
  }

  /** Notes what was told that does not lead to a newer telling, and is not what that says. */
  private noteFork(telling: Telling, newer: Telling): void {
    // Those that knew the newer one may not have heard of these doubts.
    for (const feed of this.doubted) this.forks.add(feed);
    const last = lastCommon(telling, newer);
    if (last === telling.version) return;
    for (const feed of new Set([...telling.feeds, ...newer.feeds])) {
      if (telling.feeds.has(feed) !== newer.feeds.has(feed) && this.recent.isAfter(last, feed)) this.forks.add(feed);
    }
  }
}

/** The version of the last telling that led to both; -1 where none did. */
function lastCommon(one: Telling, other: Telling): number {
  const terms = new Map([...other.past, [other.term, other.version]]);
  const common = [...one.past, [one.term, one.version] as const].map(([term, version]) => Math.min(version, terms.get(term) ?? -1));
  return Math.max(-1, ...common);
}

/** Whether a telling is the next one after another. */
export function follows(newer: Telling, older: Telling): boolean {
  return newer.version === older.version + 1 && lastCommon(newer, older) === older.version;
}

function compareTexts(one: string, other: string): number {
  if (one === other) return 0;
  return one < other ? -1 : 1;
}
