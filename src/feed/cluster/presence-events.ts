import type { Member, Roster } from './presence-ledger.js';
import type { Told } from './presence-message.js';
import { follows, type Telling } from './presence-telling.js';

/** For how long, and how many of them, the events that others told are known, should they have been lost before they sent them. */
const [rememberedMs, mostRemembered] = [60_000, 10_000];

/** A feed has its first follower, or has none any more. */
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

/** An event that one node tells for all. It has the same id wherever it is told. */
export type SharedEvent = OccupancyChange | LostConnection;

export interface PresenceListener {
  /** This node is the one that tells an event. */
  onEvent(event: SharedEvent): void;
  /** Another node told an event, and was lost within the next minute: it may not have reached who is to know it. */
  onRepeated(event: SharedEvent): void;
  /** A connection of this node is open, although others have told that it is lost. */
  onReturned(number: number, member: Member): void;
}

type Changed = Pick<Told, 'term' | 'version' | 'time' | 'occupied' | 'vacated'>;

export function* changesTold({ term, version, time, occupied, vacated }: Changed): IterableIterator<SharedEvent> {
  for (const [type, feeds] of [['occupied', occupied] as const, ['vacated', vacated] as const])
    for (const feed of feeds) yield { type, id: `${term}-${version}-${feed}`, time, feed };
}

/** What the next telling after another one must have told; nothing where it is not the next one. */
export function changesBetween(one: Telling | undefined, next: Telling, time: number): IterableIterator<SharedEvent> {
  const known = one && follows(next, one) ? one.feeds : next.feeds;
  const occupied = [...next.feeds].filter((feed) => !known.has(feed));
  const vacated = [...known].filter((feed) => !next.feeds.has(feed));
  return changesTold({ ...next, time, occupied, vacated });
}

export function* lostWith({ id, node, seq, members }: Roster, time: number): IterableIterator<SharedEvent> {
  for (const [number, member] of members) yield { type: 'lost', id: `${id}-${seq}-${number}`, time, process: id, node, number, member };
}

/** What others have told of late. */
export class RecentEvents {
  private all: { readonly teller: string; readonly at: number; readonly event: SharedEvent }[] = [];

  add(teller: string, events: Iterable<SharedEvent>): void {
    const at = performance.now();
    this.all = this.all.filter((one) => at - one.at < rememberedMs);
    for (const event of events) if (this.all.length < mostRemembered) this.all.push({ teller, at, event });
  }

  /** Those that a node told in the last minute. */
  of(teller: string): SharedEvent[] {
    const now = performance.now();
    return this.all.filter((one) => one.teller === teller && now - one.at < rememberedMs).map(({ event }) => event);
  }
}
