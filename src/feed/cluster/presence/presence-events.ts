import { type AnnouncedFeeds, isNextAfter } from './announcements.js';
import type { Member, Roster } from './presence-ledger.js';
import type { Announcement } from './presence-messages.js';

/** How long, in milliseconds, and how many events that other nodes announced are kept, should those nodes be lost before they sent them. */
const [keptMs, mostKept] = [60_000, 10_000];

/** A feed has its first connection, or has none any more. */
export interface OccupancyChange {
  readonly type: 'occupied' | 'vacated';
  readonly id: string;
  readonly time: number;
  readonly feed: string;
}

/** A connection was on a node that is lost. */
export interface LostConnection {
  readonly type: 'lost';
  readonly id: string;
  readonly time: number;
  readonly process: string;
  readonly node: string;
  readonly number: number;
  readonly member: Member;
}

/** An event that one node emits for all. It has the same id on each node that emits it. */
export type SharedEvent = OccupancyChange | LostConnection;

export interface PresenceListener {
  /** This node is the one that emits an event. */
  onEvent(event: SharedEvent): void;
  /** Another node emitted an event, and was lost within the next minute. The event may not have reached its receivers. */
  onRepeated(event: SharedEvent): void;
  /** A connection of this node is open, although others have announced that it is lost. */
  onReturned(number: number, member: Member): void;
}

type Changed = Pick<Announcement, 'term' | 'version' | 'time' | 'occupied' | 'vacated'>;

/** The events of an announcement. */
export function* occupancyChanges({ term, version, time, occupied, vacated }: Changed): IterableIterator<SharedEvent> {
  for (const [type, feeds] of [['occupied', occupied] as const, ['vacated', vacated] as const])
    for (const feed of feeds) yield { type, id: `${term}-${version}-${feed}`, time, feed };
}

/** The events of the announcement that leads from one state to the next. Empty where there was another one between them. */
export function changesBetween(one: AnnouncedFeeds | undefined, next: AnnouncedFeeds, time: number): IterableIterator<SharedEvent> {
  const known = one && isNextAfter(next, one) ? one.feeds : next.feeds;
  const occupied = [...next.feeds].filter((feed) => !known.has(feed));
  const vacated = [...known].filter((feed) => !next.feeds.has(feed));
  return occupancyChanges({ ...next, time, occupied, vacated });
}

/** The events of a lost node. */
export function* lostConnections({ id, node, seq, members }: Roster, time: number): IterableIterator<SharedEvent> {
  for (const [number, member] of members) yield { type: 'lost', id: `${id}-${seq}-${number}`, time, process: id, node, number, member };
}

/** The events that other nodes emitted recently. */
export class RecentEvents {
  private all: { readonly announcer: string; readonly at: number; readonly event: SharedEvent }[] = [];

  add(announcer: string, events: Iterable<SharedEvent>): void {
    const at = performance.now();
    this.all = this.all.filter((one) => at - one.at < keptMs);
    for (const event of events) if (this.all.length < mostKept) this.all.push({ announcer, at, event });
  }

  /** The events of one node in the last minute. */
  of(announcer: string): SharedEvent[] {
    const now = performance.now();
    return this.all.filter((one) => one.announcer === announcer && now - one.at < keptMs).map(({ event }) => event);
  }
}
