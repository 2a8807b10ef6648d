import { isAfter } from './position.js';

/** A message, as the client yields it. */
export interface FeedClientMessage<Data = unknown, Type extends string | undefined = string | undefined> {
  /** Its position and its feed; undefined for what is not stored, such as items of a source. */
  readonly id?: string | undefined;
  readonly feed: string;
  /** Undefined for messages without a type. */
  readonly type?: Type | undefined;
  readonly data: Data;
  /** When it was stored, in milliseconds since 1970. */
  readonly time?: number | undefined;
}

/** What gets the messages of feeds. */
export interface Sink {
  next(message: FeedClientMessage): void;
  /** A feed has ended. */
  end(feed: string): void;
  fail(error: unknown): void;
  /** Loads the state of a feed that has lost messages; resolves with the position of that state. Undefined where nothing does. */
  readonly onReset: ((feed: string) => Promise<string | undefined>) | undefined;
}

/**
 * One consumer's part in a feed. Each message reaches it once and in order, whichever way it comes: by the connection of all feeds, or, until it
 * has caught up, by one of its own. What the former brings in the meantime is held.
 */
export interface Subscription {
  readonly feed: string;
  /** Where it has to begin, while it has not caught up. */
  readonly since: string | undefined;
  /** Whether it still has to catch up, apart from the others. */
  isCatchingUp: boolean;
  /** A message from the connection of all feeds. */
  next(message: FeedClientMessage): void;
  /** A message from a connection of its own. */
  replay(message: FeedClientMessage): void;
  /** Holds what comes, until `release()`. */
  hold(): void;
  /**
   * Lets out what was held, and what comes.
   *
   * @param position up to there it has all; undefined where it takes what comes
   */
  release(position?: string): void;
  end(): void;
  fail(error: unknown): void;
}

/** The type of the message that tells that messages of a feed are lost. */
const resetType = 'reset';

export function subscriptionTo(feed: string, begin: string | undefined, sink: Sink): Subscription {
  let held: (FeedClientMessage | undefined)[] | undefined = [];
  /** The last message that it had, or a position up to which it has all. */
  let last: string | undefined;
  const hold = () => {
    held ??= [];
  };
  const release = (position?: string) => {
    subscription.isCatchingUp = false;
    if (position !== undefined && (last === undefined || isAfter(position, last))) last = position;
    const all = held ?? [];
    held = undefined;
    while (held === undefined && all.length > 0) {
      const message = all.shift();
      if (message) deliver(message);
      else sink.end(feed);
    }
    if (held) held = all; // one of them was a reset
  };
  const deliver = (message: FeedClientMessage) => {
    const { id, type } = message;
    if (type === resetType) {
      last = id;
      if (sink.onReset) {
        hold();
        sink.onReset(feed).then(release, sink.fail);
        return;
      }
    } else if (id !== undefined) {
      if (last !== undefined && !isAfter(id, last)) return;
      last = id;
    }
    sink.next(message);
  };
  const subscription: Subscription = {
    ...{ feed, isCatchingUp: false, replay: deliver, hold, release, fail: sink.fail },
    get since() {
      return last ?? begin;
    },
    next(message) {
      if (!held) deliver(message);
      // What has no id, such as a snapshot, is for those who were there.
      else if (!subscription.isCatchingUp || message.id !== undefined || message.type === resetType) held.push(message);
    },
    end() {
      if (held) held.push(undefined);
      else sink.end(feed);
    },
  };
  return subscription;
}
