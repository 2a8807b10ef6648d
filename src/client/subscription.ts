import { isAfter, isPosition } from './position.js';

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
  /** Ends its catching up, where it has begun. */
  stop?: (() => void) | undefined;
  /** Holds what comes, until `release()`; what was held before comes again. */
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
  /** What the connection of all feeds has brought that it does not take yet; undefined once it does. The end of the feed is undefined. */
  let held: (FeedClientMessage | undefined)[] | undefined = [];
  /** What has come while the application loads the state. */
  let loading: (FeedClientMessage | undefined)[] | undefined;
  /** The last message that it had, or a position up to which it has all. */
  let last: string | undefined;
  let isEnded = false;
  const skipTo = (position: string | undefined) => {
    if (position && !(last && !isAfter(position, last))) last = position;
  };
  const deliver = (message: FeedClientMessage | undefined) => {
    if (isEnded) return;
    if (loading) loading.push(message);
    else if (!message) {
      isEnded = true;
      sink.end(feed);
    } else if (message.type === resetType && sink.onReset) {
      last = message.id;
      loading = [];
      const loaded = (position: string | undefined) => {
        const all = loading;
        loading = undefined;
        skipTo(position);
        all?.forEach(deliver);
      };
      sink.onReset(feed).then(loaded, sink.fail);
    } else {
      const { id } = message;
      if (message.type === resetType) last = id;
      else if (isPosition(id)) {
        if (last && !isAfter(id, last)) return;
        last = id;
      }
      sink.next(message);
    }
  };
  const subscription: Subscription = {
    ...{ feed, isCatchingUp: false, replay: deliver, fail: sink.fail },
    get since() {
      return last ?? begin;
    },
    hold() {
      held = [];
    },
    release(position) {
      subscription.isCatchingUp = false;
      skipTo(position);
      const all = held;
      held = undefined;
      all?.forEach(deliver);
    },
    next(message) {
      if (!held) deliver(message);
      // What has no id, such as a snapshot, is for those who were there.
      else if (!subscription.isCatchingUp || message.id !== undefined || message.type === resetType) held.push(message);
    },
    end() {
      if (held) held.push(undefined);
      else deliver(undefined);
    },
  };
  return subscription;
}
