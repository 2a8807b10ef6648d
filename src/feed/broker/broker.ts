import type { Content, PublishedMessage } from '../feed.message.js';
import type { Position } from './position.js';

/** Takes the messages of a feed. */
export interface MessageSink {
  next(message: PublishedMessage): void;
}

/** Where to begin on a feed: after a position, with what is kept (`earliest`), with the last message kept (`newest`), or at its `end`. */
export type Start = Position | 'earliest' | 'newest' | 'end';

/** What a broker keeps of a feed, from a start on. */
export interface History {
  /** In order, without a gap. */
  readonly messages: readonly PublishedMessage[];
  /** The position that the messages follow; where there are none, the feed's end. */
  readonly after: Position;
  /** Whether messages after the position that was asked for are gone, or the position is none of this broker's. */
  readonly isReset: boolean;
}

/**
 * Keeps the recent messages of feeds, and carries them between processes.
 *
 * The offsets of its messages grow in the order in which it delivers them, over all feeds; a message has the same offset everywhere.
 */
export interface Broker {
  /** Appends a message to a feed; resolves once it is kept as well as the broker can. */
  publish(feed: string, content: Content): Promise<PublishedMessage>;
  /** Delivers each message of the feed that is published after this has returned, or resolved, once and in order. */
  follow(feed: string, sink: MessageSink): Promise<void> | undefined;
  /** Delivers no more of the feed. */
  unfollow(feed: string): void;
  /** What is kept of the feed; a message is in it, or is delivered to those who followed before this was called, or both. */
  read(feed: string, start: Start): Promise<History>;
  /** Lets go of everything. */
  close(): Promise<void>;
}
