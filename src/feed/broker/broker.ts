import type { FeedEnd } from '../message/end.js';
import type { Content, StoredMessage } from '../message/message.js';
import type { Position, Start } from '../message/position.js';
import type { IdRange } from './first-ids.js';
import type { HistoryBounds } from './history-bounds.js';

export type { FeedBounds, HistoryBounds, Retention } from './history-bounds.js';

/** Receives the messages of a feed. */
export interface MessageSink {
  next(message: StoredMessage): void;
  /**
   * Messages after the last one delivered are gone for good: they were trimmed while the broker was unavailable, or its server lost them.
   * Or the feed was cleared: then all that were delivered are gone.
   *
   * @param oldest the first message that is still stored, if there is one; it is delivered next
   */
  lost(oldest: StoredMessage | undefined): void;
}

/** A part of what a broker stores of a feed, from a start on. */
export interface History {
  /** In order, without a gap. */
  readonly messages: readonly StoredMessage[];
  /** The position before the first of the messages; where there are none, the end of the feed. */
  readonly after: Position;
  /** The offset up to which nothing is missing: that of the last message where more follow, else the offset of the broker's newest one. */
  readonly end: number;
  /** Whether more messages follow, because of the limit. */
  readonly hasMore: boolean;
  /**
   * Whether messages after the requested position are gone, or the position is not one of this broker's; where the start is `earliest`,
   * whether messages before the first one are gone, as far as the broker knows; where it is a time, whether messages of then or later are.
   */
  readonly isReset: boolean;
  /** Whether the feed has ended: its newest message is its end (see `isEnd()`). */
  readonly isEnded: boolean;
}

/** How much a broker stores of a feed at the moment. */
export interface StoredFeed {
  /** How many messages. */
  readonly length: number;
  /** How many bytes they have, as `historyBytes` counts them. */
  readonly bytes: number;
  /** When the newest was stored, in milliseconds since 1970. */
  readonly newestAt: number;
  /** How the feed has ended; undefined where it has not. */
  readonly end: FeedEnd | undefined;
}

/** Feeds of which a broker stores something. */
export interface StoredIds {
  /** In their order, as many as were asked for. */
  readonly ids: readonly string[];
  /** Whether the broker has looked at all feeds. */
  readonly isWhole: boolean;
}

/** On which conditions a message is appended. */
export interface PublishConditions {
  /**
   * Names the message: another publication with its key, on the same feed, is taken for the same one, and is not stored again as long as
   * the key is known.
   */
  readonly key?: string | undefined;
  /** The position after the last message of the feed. */
  readonly expected?: Position | undefined;
}

/**
 * Stores the recent messages of feeds and carries them between processes. The module's broker is injected by this class.
 *
 * The offsets of its messages grow in the order in which it delivers them, over all feeds; a message has the same offset in every
 * process. A broker whose server is unavailable reconnects by itself and then delivers what was missed; until then the methods that
 * need the server fail with `BrokerUnavailableError`.
 */
export abstract class Broker {
  /** The server, as people call it: `memory`, `redis`, `nats`. */
  abstract readonly name: string;
  /** Since when the server is unavailable, in milliseconds since 1970; undefined while it is available. */
  abstract readonly unavailableSince: number | undefined;
  /** Why the server is unavailable, in its own words: for operators, not for clients. Undefined while it is available, or unknown. */
  abstract readonly unavailableReason?: string | undefined;
  /** Bytes of the history in the memory of this process, names included. Default: undefined: it does not know, as where a server has it. */
  get historyBytes(): number | undefined {
    return undefined;
  }
  /**
   * Appends a message to a feed; resolves once it is stored as well as the server can. Fails with `MessageTooLargeError` where the
   * server takes none of that size, with `FeedEndedError` where the feed has ended, with `FeedPositionError` where it has messages after the
   * expected position, and with `KeyReusedError` where the key names a message with another content.
   *
   * Where the key is known, this resolves with the message that has it, whatever has become of the feed since.
   *
   * The end of a feed is stored as long as any other message, but neither the number nor the bytes of a feed's messages drop it.
   */
  abstract publish(feed: string, content: Content, conditions?: PublishConditions): Promise<StoredMessage>;
  /**
   * Delivers each message of the feed that is published after this has returned, or resolved, once and in order. Where this fails, the
   * feed is subscribed all the same, from the time on when the server is available again.
   */
  abstract subscribe(feed: string, sink: MessageSink): Promise<void> | undefined;
  /** Stops the delivery of the feed. */
  abstract unsubscribe(feed: string): void;
  /**
   * Reads what is stored of a feed. Of a subscribed feed, nothing up to the `end` that this resolves with is delivered afterwards. Of one
   * whose `subscribe()` has not resolved yet, it reads what is stored once that has: what comes behind the `end` is delivered. Where the
   * feed has ended, its end is read from the start `end` as well.
   *
   * @param limitBytes how many bytes of text to return at most; one message is returned whatever its size
   */
  abstract read(feed: string, start: Start, limitBytes: number): Promise<History>;
  /**
   * Removes what is stored of a feed, so that it begins anew: every position on it is one before messages that are gone.
   *
   * @param expected the position after the last message of the feed: where it has messages after that, or was cleared, nothing is removed,
   * and this fails with `FeedPositionError`. Default: whatever it has is removed
   */
  abstract clear(feed: string, expected?: Position): Promise<void>;
  /**
   * Remembers a name until a time, in milliseconds since 1970: beside the feeds, as durable as their messages, and dropped by nothing but
   * time. A name that is remembered already stays so until the later of the two times. Resolves once it is stored. Fails with
   * `BrokerUnavailableError`.
   */
  abstract remember(name: string, until: number): Promise<void>;
  /** The names that are remembered now, by any node, with the times until then. Fails with `BrokerUnavailableError`. */
  abstract remembered(): Promise<ReadonlyMap<string, number>>;
  /**
   * Finds the first feeds of a range of which something is stored, for operators. A broker may do without: then only feeds with subscribers are
   * listed.
   */
  storedIds?(range: IdRange): Promise<StoredIds>;
  /** Tells how much is stored of feeds, for operators: undefined where that is nothing. A broker may do without. */
  measure?(feeds: readonly string[]): Promise<(StoredFeed | undefined)[]>;
  /**
   * Sends a text to the process that listens under a name, through the server, which does not store it: it arrives once or not at all, and in no
   * order with messages. A broker may do without: nodes then publish.
   */
  signal?(name: string, text: string): void;
  /** Has what is sent under a name heard in this process, from now on, or as soon as the server is available. */
  listen?(name: string, hear: (text: string) => void): void;
  /** Frees everything. */
  abstract close(): Promise<void>;
}

/** What a broker is made with. */
export interface BrokerContext extends HistoryBounds {
  /** Called when the server becomes unavailable, once for each further reason, and when it is available again. */
  log(message: string): void;
}

/** Makes a module's broker. One with a server resolves after the first attempt to connect, or after some seconds without an answer. */
export type BrokerFactory = (context: BrokerContext) => Broker | Promise<Broker>;
