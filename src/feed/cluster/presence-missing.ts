import type { Roster } from './presence-ledger.js';
import type { Said } from './presence-said.js';

/** How many of its own heartbeats a node hears without a node of which it has connections, until that counts as lost. */
const mostMissed = 5;

/** The nodes that are missing, of those that have connections as far as this node knows. */
export class MissingNodes {
  /** How many of its own heartbeats this node has heard without these nodes. */
  private readonly missed = new Map<string, number>();
  /** Those that have left in good order. */
  private readonly left = new Set<string>();

  constructor(
    private readonly rosters: ReadonlyMap<string, Roster>,
    private readonly isThere: (id: string) => boolean,
  ) {}

  gone(id: string, isLost: boolean): void {
    this.missed.set(id, mostMissed);
    if (!isLost) this.left.add(id);
  }

  /** A node that is not there while this one hears itself is missing. */
  hearSelf(): void {
    for (const id of this.rosters.keys()) {
      if (this.isThere(id)) this.missed.delete(id);
      else this.missed.set(id, (this.missed.get(id) ?? 0) + 1);
    }
    for (const id of this.missed.keys()) if (!this.rosters.has(id) && this.missed.delete(id)) this.left.delete(id);
  }

  /** A node has said something. */
  hear(id: string): void {
    this.missed.delete(id);
  }

  forget(id: string): void {
    this.missed.delete(id);
    this.left.delete(id);
  }

  /**
   * That a node is gone.
   *
   * @param isTeller whether this node tells; one that does not may not know of all that others have, such as when it has just begun
   */
  farewell(isTeller: boolean): Said | undefined {
    for (const [id, missed] of this.missed) {
      const roster = this.rosters.get(id);
      if (!roster || missed < (isTeller ? mostMissed : 2 * mostMissed) || this.isThere(id)) continue;
      this.missed.set(id, 0); // should it be void, it is said again
      return { kind: 'gone', content: { of: id, seq: roster.seq, isLost: !this.left.has(id) } };
    }
    return undefined;
  }
}
