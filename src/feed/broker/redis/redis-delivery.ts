import type { StoredMessage } from '../../message/message.js';
import type { Position } from '../../message/position.js';
import type { MessageSink } from '../broker.js';
import type { Announcement } from './redis-message.js';
import type { Newest } from './redis-session.js';

/** The error where Redis has another epoch than before: a new session finds out which messages it has. */
export const lostMessages = 'Redis has lost its messages';

/** A feed whose messages are delivered to a sink. */
export interface Subscription {
  readonly feed: string;
  readonly sink: MessageSink;
  /** The offset up to which all messages have been delivered, or were stored before the subscription; undefined until that is known. */
  last: number | undefined;
  /** Whether Redis has not confirmed the subscription yet. An earlier one may still deliver; what came between the two is not missing. */
  isNew: boolean;
  /** Whether messages are lost and the sink has not been told yet. */
  isLost: boolean;
}

/**
 * Delivers announced messages to the subscriptions: each once, in the order of their offsets, and none while an earlier one may be missing.
 * It outlives sessions: after each connection the catch-up delivers what was missed, then announcements are delivered again.
 */
export class RedisDelivery {
  private readonly subscriptions = new Map<string, Subscription>();
  private epoch: string | undefined;
  /** The offset up to which everything that was announced has been delivered. */
  offset = 0;
  /** The offset of the newest message that this process knows of. */
  private newest = 0;
  /** Whether announcements are delivered. */
  isLive = false;
  /** What is announced while the last missed messages are read. */
  private held: Announcement[] | undefined;

  /** @param onGap told when a message is missing; announcements are then ignored until the next catch-up */
  constructor(private readonly onGap: (reason: Error) => void) {}

  /** The position up to which this process has received messages; undefined before the first session. */
  get received(): Position | undefined {
    return this.epoch === undefined ? undefined : { epoch: this.epoch, offset: this.newest };
  }

  /** All subscriptions at this moment. */
  all(): Subscription[] {
    return [...this.subscriptions.values()];
  }

  add(feed: string, sink: MessageSink): Subscription {
    const subscription: Subscription = { feed, sink, last: undefined, isNew: true, isLost: false };
    this.subscriptions.set(feed, subscription);
    return subscription;
  }

  /** Whether the subscription has not been deleted or replaced. */
  has(subscription: Subscription): boolean {
    return this.subscriptions.get(subscription.feed) === subscription;
  }

  /** Returns whether there was one. */
  delete(feed: string): boolean {
    return this.subscriptions.delete(feed);
  }

  clear(): void {
    this.subscriptions.clear();
  }

  /** Notes the position of the newest message: everything that was announced up to there has arrived before, on the same connection. */
  note({ epoch, offset }: Position): void {
    if (epoch === this.epoch) this.newest = Math.max(this.newest, offset);
    if (!this.isLive) return;
    if (epoch === this.epoch) this.offset = Math.max(this.offset, offset);
    else this.reject(new Error(lostMessages));
  }

  /** Notes that a feed has been read up to an offset: nothing up to there is delivered any more. */
  noteRead(feed: string, offset: number): void {
    const subscription = this.subscriptions.get(feed);
    if (subscription?.last !== undefined) subscription.last = Math.max(subscription.last, offset);
  }

  announce(announcement: Announcement): void {
    if (this.isLive) this.take(announcement);
    else this.held?.push(announcement);
  }

  deliver(subscription: Subscription, message: StoredMessage): void {
    this.advance(subscription, message.offset);
    subscription.sink.next(message);
  }

  /** Ignores announcements from now on. */
  stop(): void {
    this.isLive = false;
    this.held = undefined;
  }

  /** Takes over what a new session has found, before anything is published over it: what is acknowledged from now on counts as received. */
  adopt({ epoch, isKnown, kept }: Newest): void {
    if (this.epoch !== undefined && !isKnown) {
      for (const subscription of this.subscriptions.values()) {
        if (subscription.last !== undefined) Object.assign(subscription, { last: Math.min(subscription.last, kept), isLost: true });
      }
      this.offset = Math.min(this.offset, kept);
      this.newest = kept;
    }
    this.epoch = epoch;
  }

  /** Begins a catch-up of subscriptions that Redis has confirmed, up to where it is. */
  begin(all: readonly Subscription[], { epoch, offset }: Newest): void {
    if (epoch !== this.epoch) throw new Error(lostMessages);
    for (const subscription of all) {
      subscription.last ??= offset;
      subscription.isNew = false;
    }
  }

  /** Holds what is announced from now on, until `goLive()`. */
  hold(): void {
    this.held = [];
  }

  /** Ends a catch-up that has delivered everything up to an offset. */
  goLive(all: readonly Subscription[], offset: number): void {
    for (const subscription of all) subscription.last = Math.max(subscription.last ?? 0, offset);
    this.offset = Math.max(this.offset, offset);
    this.newest = Math.max(this.newest, offset);
    this.isLive = true;
    const held = this.held ?? [];
    this.held = undefined;
    for (const announcement of held) if (this.isLive) this.take(announcement);
  }

  private take(announcement: Announcement): void {
    const { feed, epoch, offset, message, previous, isExact, isClear } = announcement;
    const subscription = this.subscriptions.get(feed);
    if (!subscription) return;
    const { last, isNew } = subscription;
    if (epoch === this.epoch && last !== undefined) {
      if (offset <= last) return;
      // An inexact one is the upper bound for a message that has expired: it is missing only where something has not arrived at all.
      if (previous > last && !isNew && (isExact || previous > this.offset)) {
        this.reject(new Error(`a message of feed ${feed} is missing`));
        return;
      }
    }
    this.note(announcement);
    if (epoch !== this.epoch) return;
    if (message) this.deliver(subscription, message);
    else this.advance(subscription, offset);
    if (isClear) subscription.sink.lost(undefined);
  }

  private advance(subscription: Subscription, offset: number): void {
    subscription.last = offset;
    this.newest = Math.max(this.newest, offset);
  }

  private reject(reason: Error): void {
    this.stop();
    this.onGap(reason);
  }
}
