import type { Sequence } from './sequence.js';

/** A feed that connections follow, and the messages that are on their way to them. */
export class Feed {
  /** Connections that are open. */
  followers = 0;
  /** The number of the last message that was posted. */
  last = 0;
  /** Whether a post waits for its response. Posts are sent one at a time, so that messages have an order to check. */
  isBusy = false;
  /** How many followers have yet to get a message, by its number. A message that all have got is removed. */
  private readonly awaited = new Map<number, number>();

  constructor(
    /** The path to follow it and to post to it. */
    readonly path: string,
  ) {}

  /** Whether no post and no delivery is pending. */
  get isSettled(): boolean {
    return !this.isBusy && this.awaited.size === 0;
  }

  /** Pending deliveries. */
  get outstanding(): number {
    let sum = 0;
    for (const followers of this.awaited.values()) sum += followers;
    return sum;
  }

  /** Begins a post, of a message that all current followers are to get. Returns its number. */
  post(): number {
    this.isBusy = true;
    this.last += 1;
    this.awaited.set(this.last, this.followers);
    return this.last;
  }

  /** Ends a post. A message that was rejected may still arrive, but is not expected. */
  respond(number: number, isAccepted: boolean): void {
    this.isBusy = false;
    if (!isAccepted) this.awaited.delete(number);
  }

  /** A follower got a message for the first time. Returns whether all have got it now. */
  receive(number: number): boolean {
    const followers = this.awaited.get(number);
    if (followers === undefined) return false;
    if (followers > 1) this.awaited.set(number, followers - 1);
    else this.awaited.delete(number);
    return followers === 1;
  }

  /** A follower has disconnected: messages that it has not received are not expected any more. */
  leave(received: Sequence): void {
    this.followers -= 1;
    for (const number of this.awaited.keys()) if (!received.has(number)) this.receive(number);
  }
}
