import type { Changes, Fork, Gone, State, Told } from './presence-message.js';
import { mostNodes, type Telling, ToldFeeds } from './presence-telling.js';

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

interface Count {
  /** The feed, alone in an array that all connections share which follow nothing else. */
  readonly feeds: readonly [string];
  followers: number;
}

/**
 * Who follows which feed on which node, and what of that has been told, by the messages that all nodes get in one order. Nodes that have got the
 * same messages come to the same result, but for what only those know that were on the other side of a split.
 */
export class PresenceLedger {
  readonly rosters = new Map<string, Roster>();
  /** The feeds of which something else is told than what is, or may be. */
  readonly untold = new Set<string>();
  private readonly told = new ToldFeeds();
  private readonly counts = new Map<string, Count>();

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

  /** Which feeds have been told as occupied. */
  get telling(): Telling | undefined {
    return this.told.telling;
  }

  /** The feeds of which this node alone knows that something else may have been told last. */
  get forks(): ReadonlySet<string> {
    return this.told.forks;
  }

  /** Takes what a node tells: see {@link ToldFeeds.tell}. */
  tell(message: Told): boolean | undefined {
    const counts = this.told.tell(message);
    if (counts) for (const feed of [...message.occupied, ...message.vacated]) this.compare(feed);
    return counts;
  }

  /** Takes what another node knows to have been told: see {@link ToldFeeds.adopt}. */
  adopt(message: State): boolean | undefined {
    const counts = this.told.adopt(message);
    if (counts) {
      this.untold.clear();
      for (const feed of [...(this.telling?.feeds ?? []), ...this.counts.keys()]) this.compare(feed);
    }
    return counts;
  }

  /** Takes that others have told something else of feeds: what is so is told again. */
  doubt({ feeds }: Fork): void {
    for (const feed of feeds) {
      this.told.forks.delete(feed);
      this.told.doubted.add(feed);
      this.compare(feed);
    }
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
    const isWrong = this.telling?.feeds.has(feed) !== this.counts.has(feed);
    if (this.telling && (isWrong || this.told.doubted.has(feed))) this.untold.add(feed);
    else this.untold.delete(feed);
  }
}
