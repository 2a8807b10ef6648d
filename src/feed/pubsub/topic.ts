import type { MessageSink } from '../broker/broker.js';
import { isEnd } from '../message/end.js';
import type { StoredMessage, TextMessage } from '../message/message.js';
import type { RuleMeasures } from '../stats/measures.js';
import { resetOf } from './replay-item.js';

/** What the messages of a feed are delivered to. */
export interface Subscriber {
  /** A message that must arrive. One that is not stored says that messages are lost. */
  deliver(message: StoredMessage | TextMessage): void;
  /** A message that a newer one of the same feed may replace while the subscriber cannot take more. */
  deliverNewest(message: StoredMessage): void;
  /** The last message of its feed. */
  deliverEnd(message: StoredMessage): void;
}

/** A feed's subscribers in this process. One subscriber is the common case, and costs no set. */
export class Topic implements MessageSink {
  /** Resolves when the broker delivers the feed's messages here; undefined once it does. */
  ready: Promise<void> | undefined = undefined;
  /** The offset of the newest message that was delivered here; 0 before the first. */
  newest = 0;
  /** Whether listeners have been told that the feed has subscribers. */
  isAnnounced = false;
  private subscribers: Subscriber | Set<Subscriber> | undefined = undefined;

  constructor(
    readonly feed: string,
    private readonly conflates: boolean,
    private readonly measures: RuleMeasures,
  ) {}

  get size(): number {
    if (this.subscribers instanceof Set) return this.subscribers.size;
    return this.subscribers ? 1 : 0;
  }

  add(subscriber: Subscriber): void {
    if (this.subscribers instanceof Set) this.subscribers.add(subscriber);
    else if (this.subscribers === undefined) this.subscribers = subscriber;
    else if (this.subscribers !== subscriber) this.subscribers = new Set([this.subscribers, subscriber]);
  }

  delete(subscriber: Subscriber): void {
    if (this.subscribers instanceof Set) this.subscribers.delete(subscriber);
    else if (this.subscribers === subscriber) this.subscribers = undefined;
  }

  *[Symbol.iterator](): IterableIterator<Subscriber> {
    if (this.subscribers instanceof Set) yield* this.subscribers;
    else if (this.subscribers) yield this.subscribers;
  }

  next(message: StoredMessage): void {
    this.newest = message.offset;
    // A subscriber unsubscribes when it gets the end.
    if (isEnd(message)) for (const subscriber of [...this]) subscriber.deliverEnd(message);
    else if (this.subscribers instanceof Set) for (const subscriber of this.subscribers) this.deliver(subscriber, message);
    else if (this.subscribers) this.deliver(this.subscribers, message);
    if (this.measures.isOn) this.measures.noteDelivery(message.time);
  }

  lost(oldest: StoredMessage | undefined): void {
    const reset = resetOf(this.feed, oldest?.id ?? null);
    for (const subscriber of this) subscriber.deliver(reset);
  }

  private deliver(subscriber: Subscriber, message: StoredMessage): void {
    if (this.conflates) subscriber.deliverNewest(message);
    else subscriber.deliver(message);
  }
}
