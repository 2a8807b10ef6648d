import type { Changes, Gone, State, Told } from './presence-message.js';

/** How many nodes are known at a time: any program that can reach the server can speak as some. */
const mostNodes = 1000;

/** A connection that follows feeds whose presence is told. */
export interface Member {
  readonly feeds: readonly string[];
  /** When it was opened, in seconds since 1970. */
  readonly since: number;
  readonly subject: string | undefined;
}

/** The connections of one process, as far as it has said. */
export interface Roster {
  readonly id: string;
  readonly node: string;
  /** The number of its last message. */
  seq: number;
  members: Map<number, Member>;
  /** What it says from scratch, until that is complete. */
  pending: Map<number, Member> | undefined;
  /** Whether messages of it may be missing. */
  isStale: boolean;
}

/** Which feeds have been told as occupied. */
export interface Telling {
  /** Which beginning of all tellings this goes back to. */
  readonly founding: string;
  /** How many tellings there have been. */
  version: number;
  /** The process that told last. */
  teller: string;
  readonly feeds: Set<string>;
}

interface Count {
  /** The feed, alone in an array that all connections share which follow nothing else. */
  readonly feeds: readonly [string];
  followers: number;
}

/**
 * Who follows which feed on which node, and what of that has been told, by the messages that all nodes get in one order. Nodes that have got the
 * same messages come to the same result.
 */
export class PresenceLedger {
  readonly rosters = new Map<string, Roster>();
  telling: Telling | undefined = undefined;
  /** The feeds of which something else is told than what is. */
  readonly untold = new Set<string>();
  private readonly counts = new Map<string, Count>();
  private readonly incoming = new Map<string, Telling>();

  /** How many connections follow a feed. */
  followers(feed: string): number {
    return this.counts.get(feed)?.followers ?? 0;
  }

  /** The feeds that connections follow. */
  occupied(): IterableIterator<string> {
    return this.counts.keys();
  }

  /**
   * Takes what a node says of its connections.
   *
   * @param known members that need no copy, where they are the same
   * @returns whether nothing was missing before it
   */
  change({ id, node, seq, begins, more, joins, leaves }: Changes, known?: ReadonlyMap<number, Member>): boolean {
    let roster = this.rosters.get(id);
    if (!begins && seq !== (roster?.seq ?? Number.NaN) + 1) {
      if (roster && seq <= roster.seq) return true; // it is there already
      if (roster) this.spoil(roster);
      return false;
    }
    if (!roster && this.rosters.size >= mostNodes) return true;
    roster ??= { id, node, seq, members: new Map(), pending: undefined, isStale: true };
    this.rosters.set(id, roster);
    roster.seq = seq;
    if (begins) {
      this.spoil(roster);
      roster.pending = new Map();
    }
    const into = roster.pending ?? roster.members;
    for (const [number, feeds, since, subject] of joins) {
      const before = into.get(number);
      const member = this.memberOf(known?.get(number), feeds, since, subject);
      into.set(number, member);
      this.count(member, 1);
      if (before) this.count(before, -1);
    }
    for (const number of leaves) {
      const member = into.get(number);
      if (member && into.delete(number)) this.count(member, -1);
    }
    if (roster.pending && !more) {
      const { members, pending } = roster;
      Object.assign(roster, { members: pending, pending: undefined, isStale: false });
      for (const member of members.values()) this.count(member, -1);
    }
    return true;
  }

  /** What is known of a node may be wrong, until it has said everything again. */
  spoil(roster: Roster): void {
    for (const member of roster.pending?.values() ?? []) this.count(member, -1);
    roster.pending = undefined;
    roster.isStale = true;
  }

  /**
   * Forgets a node that is gone.
   *
   * @returns what it had; undefined where it is not known, or has said something that is newer
   */
  remove({ of, seq }: Gone): Roster | undefined {
    const roster = this.rosters.get(of);
    if (!roster || roster.seq > seq) return undefined;
    this.spoil(roster);
    this.rosters.delete(of);
    for (const member of roster.members.values()) this.count(member, -1);
    return roster;
  }

  /**
   * Takes what a node tells.
   *
   * @returns whether it counts: `true`; `false` where another node was faster; undefined where something before it is missing here
   */
  tell({ id, founding, version, occupied, vacated }: Told): boolean | undefined {
    const { telling } = this;
    if (telling?.founding !== founding || version > telling.version + 1) return undefined;
    if (version <= telling.version) return false;
    telling.version = version;
    telling.teller = id;
    for (const feed of occupied) telling.feeds.add(feed);
    for (const feed of vacated) telling.feeds.delete(feed);
    for (const feed of [...occupied, ...vacated]) this.compare(feed);
    return true;
  }

  /**
   * Takes what another node knows to have been told; the newest counts.
   *
   * @returns whether it counts: `true`; `false` where something newer is known here; undefined where it is not complete, or the same
   */
  adopt({ id, founding, version, teller, begins, more, feeds }: State): boolean | undefined {
    const begun = begins ? { founding, version, teller, feeds: new Set<string>() } : this.incoming.get(id);
    this.incoming.delete(id);
    if (begun?.founding !== founding || begun.version !== version) return undefined;
    for (const feed of feeds) begun.feeds.add(feed);
    if (more) {
      if (this.incoming.size >= mostNodes) this.incoming.clear();
      this.incoming.set(id, begun);
      return undefined;
    }
    const order = this.telling ? version - this.telling.version || compareTexts(founding, this.telling.founding) : 1;
    if (order <= 0) return order < 0 ? false : undefined;
    this.telling = begun;
    this.untold.clear();
    for (const feed of [...begun.feeds, ...this.counts.keys()]) this.compare(feed);
    return true;
  }

  private memberOf(known: Member | undefined, feeds: readonly string[], since: number, subject: string | undefined): Member {
    const isSame = known?.feeds.length === feeds.length && feeds.every((feed, n) => known.feeds[n] === feed);
    return isSame ? known : { feeds: this.shared(feeds), since, subject };
  }

  /** The same feeds; one alone in the array that all connections share which follow nothing else. */
  shared(feeds: readonly string[]): readonly string[] {
    return (feeds.length === 1 && this.counts.get(feeds[0] as string)?.feeds) || feeds;
  }

  private count({ feeds }: Member, by: 1 | -1): void {
    for (const feed of feeds) {
      const count = this.counts.get(feed);
      if (count) count.followers += by;
      else this.counts.set(feed, { feeds: [feed], followers: by });
      if (count && count.followers > 0) continue;
      if (count) this.counts.delete(feed);
      this.compare(feed);
    }
  }

  private compare(feed: string): void {
    const isTold = this.telling?.feeds.has(feed) ?? false;
    if (this.telling && isTold !== this.counts.has(feed)) this.untold.add(feed);
    else this.untold.delete(feed);
  }
}

function compareTexts(one: string, other: string): number {
  if (one === other) return 0;
  return one < other ? -1 : 1;
}
