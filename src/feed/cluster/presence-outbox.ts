import type { PresenceLedger } from './presence-ledger.js';
import type { OwnRoster } from './presence-own.js';
import { forksOf, type Said, statesOf } from './presence-said.js';

/** What a node has to say of itself, and of what it knows to have been told: one message after the other. */
export class PresenceOutbox {
  /** Everything of this node is said from scratch. */
  mustBegin = true;
  mustState = false;
  mustFork = false;
  /** What has changed on this node is said. */
  hasBatch = false;
  /** What goes out in several messages. */
  private outgoing: Said[] = [];

  constructor(
    private readonly own: OwnRoster,
    private readonly ledger: PresenceLedger,
  ) {}

  next(): Said | undefined {
    if (this.mustBegin) {
      this.mustBegin = false;
      this.keep(this.outgoing);
      this.outgoing = this.own.everything().map((content) => ({ kind: 'changes', content }));
    }
    if (this.mustState && this.outgoing.length === 0) {
      this.mustState = false;
      this.outgoing = statesOf(this.ledger.telling);
    }
    if (this.mustFork && this.outgoing.length === 0) {
      this.mustFork = false;
      this.outgoing = forksOf(this.ledger.forks);
    }
    const said = this.outgoing.shift();
    if (said) return said;
    if (this.hasBatch && this.own.hasChanges) return { kind: 'changes', content: this.own.changes() };
    this.hasBatch = false;
    return undefined;
  }

  /** A message may have been stored or not: everything is said anew. */
  failed(said: Said | undefined): void {
    this.mustBegin = true;
    if (said) this.keep([said]);
  }

  private keep(all: readonly Said[]): void {
    this.mustState ||= all.some(({ kind }) => kind === 'state');
    this.mustFork ||= all.some(({ kind }) => kind === 'fork');
  }
}
