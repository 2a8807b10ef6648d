import type { Roster } from './presence-ledger.js';
import type { OutgoingMessage } from './presence-outbox.js';

/** A node whose connections are known is lost when this node has received so many of its own heartbeats without one of that node. */
const mostMissed = 5;

/** The missing nodes among those that have connections in the ledger. */
export class MissingNodes {
  /** How many of its own heartbeats this node has received without one of these nodes. */
  private readonly missed = new Map<string, number>();
  /** The nodes that have left in good order. */
  private readonly left = new Set<string>();

  constructor(
    private readonly rosters: ReadonlyMap<string, Roster>,
    private readonly isAlive: (id: string) => boolean,
  ) {}

  gone(id: string, isLost: boolean): void {
    this.missed.set(id, mostMissed);
    if (!isLost) this.left.add(id);
  }

  /** This node has received its own heartbeat. */
  hearSelf(): void {
    for (const id of this.rosters.keys()) {
      if (this.isAlive(id)) this.missed.delete(id);
      else this.missed.set(id, (this.missed.get(id) ?? 0) + 1);
    }
    for (const id of this.missed.keys()) if (!this.rosters.has(id) && this.missed.delete(id)) this.left.delete(id);
  }

  /** A node has sent something. */
  hear(id: string): void {
    this.missed.delete(id);
  }

  forget(id: string): void {
    this.missed.delete(id);
    this.left.delete(id);
  }

  /**
   * The message that a node is gone, for the next one that is.
   *
   * @param isAnnouncing whether this node makes the announcements. Another node waits twice as long: one that has just started may not know
   * of all nodes
   */
  nextGone(isAnnouncing: boolean): OutgoingMessage | undefined {
    for (const [id, missed] of this.missed) {
      const roster = this.rosters.get(id);
      if (!roster || missed < (isAnnouncing ? mostMissed : 2 * mostMissed) || this.isAlive(id)) continue;
      this.missed.set(id, 0); // if the message is void, it is sent again
      return { kind: 'gone', content: { of: id, seq: roster.seq, isLost: !this.left.has(id) } };
    }
    return undefined;
  }
}
