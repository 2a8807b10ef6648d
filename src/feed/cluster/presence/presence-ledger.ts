import { type AnnouncedFeeds, Announcements, mostNodes } from './announcements.js';
import type { AnnouncedState, Announcement, Fork, Removal, RosterChanges } from './presence-messages.js';

/** A connection that subscribes to feeds with presence. */
export interface Member {
  readonly feeds: readonly string[];
  /** When it was opened, in seconds since 1970. */
  readonly since: number;
  readonly subject: string | undefined;
}

/** The connections of one process, according to its messages. */
export interface Roster {
  readonly id: string;
  readonly node: string;
  /** The number of its last message. */
  seq: number;
  members: Map<number, Member>;
  /** A list of all its connections that is not complete yet. */
  pending: Map<number, Member> | undefined;
  /** Whether some of its messages may be missing. */
  isStale: boolean;
}

interface Count {
  /** The feed, alone in an array that is shared by all connections without another feed. */
  readonly feeds: readonly [string];
  connections: number;
}

/**
 * The connections of each feed on each node, and what has been announced of them. It is computed from messages that all nodes receive in one
 * order, so nodes that have received the same messages have the same ledger. Only the forks differ: they are known to nodes that were on the
 * other side of a split.
 */
export class PresenceLedger {
  readonly rosters = new Map<string, Roster>();
  /** The feeds whose announced state is wrong, or disputed. */
  readonly unannounced = new Set<string>();
  private readonly announcements = new Announcements();
  private readonly counts = new Map<string, Count>();

  /** How many connections a feed has, over all nodes. */
  connections(feed: string): number {
    return this.counts.get(feed)?.connections ?? 0;
  }

  /** The feeds that have connections. */
  occupied(): IterableIterator<string> {
    return this.counts.keys();
  }

  /**
   * Applies the changes of a node.
   *
   * @param known members that are shared instead of copied, where they are equal
   * @returns `false` where earlier messages of that node are missing
   */
  change({ id, node, seq, begins, more, joins, leaves }: RosterChanges, known?: ReadonlyMap<number, Member>): boolean {
    let roster = this.rosters.get(id);
    if (!begins && seq !== (roster?.seq ?? Number.NaN) + 1) {
      if (roster && seq <= roster.seq) return true; // it has been applied already
      if (roster) this.markStale(roster);
      return false;
    }
    if (!roster && this.rosters.size >= mostNodes) return true;
    roster ??= { id, node, seq, members: new Map(), pending: undefined, isStale: true };
    this.rosters.set(id, roster);
    roster.seq = seq;
    if (begins) {
      this.markStale(roster);
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

  /** The connections of a node may be wrong, until it has sent all of them again. */
  markStale(roster: Roster): void {
    for (const member of roster.pending?.values() ?? []) this.count(member, -1);
    roster.pending = undefined;
    roster.isStale = true;
  }

  /**
   * Removes a node that is gone.
   *
   * @returns its connections; undefined where it is not known, or has sent a newer message
   */
  remove({ of, seq }: Removal): Roster | undefined {
    const roster = this.rosters.get(of);
    if (!roster || roster.seq > seq) return undefined;
    this.markStale(roster);
    this.rosters.delete(of);
    for (const member of roster.members.values()) this.count(member, -1);
    return roster;
  }

  /** The feeds that have been announced as occupied. */
  get announced(): AnnouncedFeeds | undefined {
    return this.announcements.current;
  }

  /** The feeds on which void announcements differ from the valid ones, as this node knows and others may not. */
  get forks(): ReadonlySet<string> {
    return this.announcements.forks;
  }

  /** Applies an announcement: see {@link Announcements.apply}. */
  announce(message: Announcement): boolean | undefined {
    const isValid = this.announcements.apply(message);
    if (isValid) for (const feed of [...message.occupied, ...message.vacated]) this.compare(feed);
    return isValid;
  }

  /** Takes over the state of another node: see {@link Announcements.adopt}. */
  adopt(message: AnnouncedState): boolean | undefined {
    const isNewer = this.announcements.adopt(message);
    if (isNewer) {
      this.unannounced.clear();
      for (const feed of [...(this.announced?.feeds ?? []), ...this.counts.keys()]) this.compare(feed);
    }
    return isNewer;
  }

  /** Another node has reported a fork: its feeds are announced again. */
  dispute({ feeds }: Fork): void {
    for (const feed of feeds) {
      this.announcements.forks.delete(feed);
      this.announcements.disputed.add(feed);
      this.compare(feed);
    }
  }

  private memberOf(known: Member | undefined, feeds: readonly string[], since: number, subject: string | undefined): Member {
    const isSame = known?.feeds.length === feeds.length && feeds.every((feed, n) => known.feeds[n] === feed);
    return isSame ? known : { feeds: this.shared(feeds), since, subject };
  }

  /** The same feeds. A single one is in an array that is shared by all connections without another feed. */
  shared(feeds: readonly string[]): readonly string[] {
    return (feeds.length === 1 && this.counts.get(feeds[0] as string)?.feeds) || feeds;
  }

  private count({ feeds }: Member, by: 1 | -1): void {
    for (const feed of feeds) {
      const count = this.counts.get(feed);
      if (count) count.connections += by;
      else this.counts.set(feed, { feeds: [feed], connections: by });
      if (count && count.connections > 0) continue;
      if (count) this.counts.delete(feed);
      this.compare(feed);
    }
  }

  private compare(feed: string): void {
    const isWrong = this.announced?.feeds.has(feed) !== this.counts.has(feed);
    if (this.announced && (isWrong || this.announcements.disputed.has(feed))) this.unannounced.add(feed);
    else this.unannounced.delete(feed);
  }
}
