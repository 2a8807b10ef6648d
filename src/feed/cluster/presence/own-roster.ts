import type { Member } from './presence-ledger.js';
import { longestMessage, longestSubject, partsOf } from './presence-messages.js';

/** How many characters the number of a connection has at most. */
const numberLength = 10;

/** The connections of this node, and their changes that have not been sent to the others. */
export class OwnRoster {
  readonly members = new Map<number, Member>();
  /** The numbers of the connections that have changed since they were sent. */
  private readonly changed = new Set<number>();
  private seq = 0;

  get hasChanges(): boolean {
    return this.changed.size > 0;
  }

  /** @param member undefined: the connection has ended, or subscribes to no feed with presence any more */
  set(number: number, member: Member | undefined): boolean {
    if (!member && !this.members.delete(number)) return false;
    if (member) this.members.set(number, { ...member, subject: member.subject?.slice(0, longestSubject) });
    this.changed.add(number);
    return true;
  }

  /** Messages with all connections. */
  everything(): object[] {
    this.changed.clear();
    const parts = partsOf([...this.members], joinOf);
    return parts.map((joins, n) => {
      this.seq += 1;
      return { seq: this.seq, begins: n === 0, more: n < parts.length - 1, joins };
    });
  }

  /** A message with the changes, or with as many of them as fit. */
  changes(): object {
    const joins: unknown[] = [];
    const leaves: number[] = [];
    let length = 0;
    for (const number of this.changed) {
      if (length > longestMessage) break;
      this.changed.delete(number);
      const member = this.members.get(number);
      if (member) joins.push(joinOf([number, member]));
      else leaves.push(number);
      length += member ? JSON.stringify(joins.at(-1)).length : numberLength;
    }
    this.seq += 1;
    return { seq: this.seq, joins, leaves };
  }
}

function joinOf([number, { feeds, since, subject }]: [number, Member]) {
  return [number, feeds, since, ...(subject === undefined ? [] : [subject])];
}
