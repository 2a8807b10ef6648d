import type { Content, PublishedMessage } from '../message/message.js';
import type { Position } from '../message/position.js';

/** Takes the messages of a feed. */
export interface MessageSink {
  next(message: PublishedMessage): void;
  /**
   * Messages after the last that came are gone for good: they were trimmed while the engine was away, or the engine lost them.
   *
   * @param oldest the first that is still there, if there is one; it comes next
   */
  lost(oldest: PublishedMessage | undefined): void;
}

/** Where to begin on a feed: after a position, with what is kept (`earliest`), with the last message kept (`newest`), or at its `end`. */
export type Start = Position | 'earliest' | 'newest' | 'end';

/** What a broker keeps of a feed, from a start on. */
export interface History {
  /** In order, without a gap. */
  readonly messages: readonly PublishedMessage[];
  /** The position that the messages follow; where there are none, the feed's end. */
  readonly after: Position;
  /** The offset up to which nothing is missing: what is newer comes to who follows the feed. */
  readonly end: number;
  /** Whether messages after the position that was asked for are gone, or the position is none of this broker's. */
  readonly isReset: boolean;
}

/** How much of each feed a broker keeps. */
export interface HistoryBounds {
  /** Messages of each feed. */
  readonly historyLength: number;
  /** How long a message is kept, in milliseconds. */
  readonly historyTtlMs: number;
  /** Bytes of each feed. */
  readonly historyBytes: number;
  /** Bytes of all feeds together. */
  readonly historyTotalBytes: number;
}

/** What a message counts with beside its text, in bytes: itself, its entry, and the room that V8 keeps free around them. */
export const messageOverhead = 512;

/**
 * Keeps the recent messages of feeds, and carries them between processes.
 *
 * The offsets of its messages grow in the order in which it delivers them, over all feeds; a message has the same offset everywhere.
 * A broker whose engine is away reconnects by itself and then delivers what was missed; until then the methods that need the engine
 * fail with `BrokerUnavailableError`.
 */
export interface Broker {
  /** The engine, as people call it: `memory`, `redis`, `nats`. */
  readonly name: string;
  /** Since when the engine is away, in milliseconds since 1970; undefined while it is there. */
  readonly unavailableSince: number | undefined;
  /** Why the engine is away, as it says itself: for whoever runs it, not for clients. Undefined while it is there, or where that is not known. */
  readonly unavailableReason?: string | undefined;
  /**
   * Appends a message to a feed; resolves once it is kept as well as the engine can. Fails with `BrokerMessageTooLargeError` where the
   * engine takes none of that size.
   */
  publish(feed: string, content: Content): Promise<PublishedMessage>;
  /**
   * Delivers each message of the feed that is published after this has returned, or resolved, once and in order. Where this fails, the
   * feed is followed all the same, from the time on when the engine is back.
   */
  follow(feed: string, sink: MessageSink): Promise<void> | undefined;
  /** Delivers no more of the feed. */
  unfollow(feed: string): void;
  /** What is kept of the feed. Of a feed that is followed, nothing that this resolves with is delivered afterwards. */
  read(feed: string, start: Start): Promise<History>;
  /** Lets go of everything. */
  close(): Promise<void>;
}

/** What a broker is made with. */
export interface BrokerContext extends HistoryBounds {
  /** Told when the engine goes away, once for each further reason why it stays away, and when it is back. */
  log(message: string): void;
}

/** Makes a module's broker; where it takes an engine, resolves when that has answered, or after some seconds without it. */
export type BrokerFactory = (context: BrokerContext) => Broker | Promise<Broker>;

/** The engine cannot be reached, or refuses to work. */
export class BrokerUnavailableError extends Error {
  override readonly name = 'BrokerUnavailableError';
  readonly code = 'BROKER_UNAVAILABLE';
}

/** The engine takes no message of that size: it will not help to publish it again. */
export class BrokerMessageTooLargeError extends Error {
  override readonly name = 'BrokerMessageTooLargeError';
  readonly code = 'BROKER_MESSAGE_TOO_LARGE';

  constructor(
    /** The most bytes that the message's text could have had. */
    readonly limit: number,
  ) {
    super(`The engine takes messages of ${limit} bytes at most.`);
  }
}

/** An option of a broker is wrong. Thrown by what makes its factory, such as `redisBroker()`. */
export class BrokerOptionsError extends Error {
  override readonly name = 'BrokerOptionsError';
  readonly code = 'BROKER_OPTIONS';

  constructor(
    message: string,
    /** The name of the wrong option. */
    readonly option: string,
  ) {
    super(message);
  }
}
