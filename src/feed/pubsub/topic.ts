import type { MessageSink } from '../broker/broker.js';
import type { Notice, PublishedMessage } from '../message/message.js';
import { resetOf } from './replay.js';

/** Whoever follows a feed. */
export interface Follower {
  /** A message that must reach it; a notice says that messages are lost. */
  next(message: PublishedMessage | Notice): void;
  /** A message that may be skipped for a newer one of the same feed while it cannot take more. */
  latest(message: PublishedMessage): void;
}

/** A feed that is followed, and by whom. One follower is the common case, and costs no set. */
export class Topic implements MessageSink {
  /** Resolves when the broker delivers the feed's messages here; undefined once it does. */
  ready: Promise<void> | undefined = undefined;
  /** Whether it has been told that the feed is followed. */
  isTold = false;
  private followers: Follower | Set<Follower> | undefined = undefined;

  constructor(
    readonly feed: string,
    private readonly conflates: boolean,
  ) {}

  get size(): number {
    if (this.followers instanceof Set) return this.followers.size;
    return this.followers ? 1 : 0;
  }

  add(follower: Follower): void {
    if (this.followers instanceof Set) this.followers.add(follower);
    else if (this.followers === undefined) this.followers = follower;
    else if (this.followers !== follower) this.followers = new Set([this.followers, follower]);
  }

  delete(follower: Follower): void {
    if (this.followers instanceof Set) this.followers.delete(follower);
    else if (this.followers === follower) this.followers = undefined;
  }

  has(follower: Follower): boolean {
    return this.followers instanceof Set ? this.followers.has(follower) : this.followers === follower;
  }

  *[Symbol.iterator](): IterableIterator<Follower> {
    if (this.followers instanceof Set) yield* this.followers;
    else if (this.followers) yield this.followers;
  }

  next(message: PublishedMessage): void {
    if (this.followers instanceof Set) for (const follower of this.followers) this.give(follower, message);
    else if (this.followers) this.give(this.followers, message);
  }

  lost(oldest: PublishedMessage | undefined): void {
    const reset = resetOf(this.feed, oldest);
    for (const follower of this) follower.next(reset);
  }

  private give(follower: Follower, message: PublishedMessage): void {
    if (this.conflates) follower.latest(message);
    else follower.next(message);
  }
}
