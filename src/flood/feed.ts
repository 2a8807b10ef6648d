import type { Sequence } from './sequence.js';

/** A feed that members follow, and the messages that are on their way to them. */
export class Feed {
  /** Members that are open. */
  followers = 0;
  /** The number of the last message that was posted. */
  last = 0;
  /** Whether a post waits for its answer. Only where there is one at a time do messages have an order to be checked. */
  isBusy = false;
  /** How many followers still wait for a message, by its number. What nobody waits for any more is forgotten. */
  private readonly awaited = new Map<number, number>();

  constructor(
    /** Where it is followed and posted to. */
    readonly path: string,
  ) {}

  /** Whether nothing is on its way. */
  get isSettled(): boolean {
    return !this.isBusy && this.awaited.size === 0;
  }

  /** Deliveries that have not come. */
  get outstanding(): number {
    let sum = 0;
    for (const followers of this.awaited.values()) sum += followers;
    return sum;
  }

  /** Begins a post: everyone who follows now is to get the message. Returns its number. */
  post(): number {
    this.isBusy = true;
    this.last += 1;
    this.awaited.set(this.last, this.followers);
    return this.last;
  }

  /** Ends a post. A message that was not accepted may still arrive, but nobody waits for it. */
  answer(number: number, isAccepted: boolean): void {
    this.isBusy = false;
    if (!isAccepted) this.awaited.delete(number);
  }

  /** A follower got a message for the first time. Returns whether all have it now. */
  receive(number: number): boolean {
    const followers = this.awaited.get(number);
    if (followers === undefined) return false;
    if (followers > 1) this.awaited.set(number, followers - 1);
    else this.awaited.delete(number);
    return followers === 1;
  }

  /** A follower is gone: what it has not got, it does not wait for. */
  leave(got: Sequence): void {
    this.followers -= 1;
    for (const number of this.awaited.keys()) if (!got.has(number)) this.receive(number);
  }
}
