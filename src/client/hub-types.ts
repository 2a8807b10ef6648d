import type { Status } from './status.js';
import type { FeedClientMessage, Subscription } from './subscription.js';

/** Where subscriptions get their messages from. */
export interface Hub {
  readonly status: Status;
  /** @param since where it begins. Default: where the subscription says */
  join(subscription: Subscription, since?: string): void;
  leave(subscription: Subscription): void;
  /** Where it is on a feed that is followed, as `since` says it. */
  at(feed: string): string;
  /**
   * Looks whether the connection is still there.
   *
   * @param isNew whether that of before is certainly not
   */
  look(isNew: boolean): void;
  /** Where there is more to close than what is followed. */
  close?(): void;
}

/** Told of what comes on the connection of all feeds. */
export interface ConnectionObserver {
  next(message: FeedClientMessage, isLive: boolean): void;
  mark(position: string, feeds: readonly string[]): void;
  end(feed: string): void;
  fail(feed: string, error: unknown): void;
}
