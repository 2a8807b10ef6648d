import type { Position } from './position.js';
import { noteTrace } from './trace.js';

/** A message as an application gets and gives it. */
export interface FeedMessage<T = unknown> {
  /** The position on the feed after this message, for `Last-Event-ID`. Missing from a source that cannot be resumed. */
  readonly id?: string | undefined;
  /** The feed that it was published to. Missing from the messages of a source. */
  readonly feed?: string | undefined;
  /** The kind of message: the `event` field of a server-sent event. */
  readonly type?: string | undefined;
  /** Strings are sent as they are, bytes as UTF-8, everything else as JSON. */
  readonly data: T;
  /** When the broker stored it, in milliseconds since 1970. Missing from the messages of a source. */
  readonly time?: number | undefined;
  /** After how many milliseconds a client reconnects from now on. Of a message of a source, in event streams only. */
  readonly retry?: number | undefined;
  /** Text that clients ignore, for debugging. Of a message of a source, in event streams only. */
  readonly comment?: string | undefined;
}

/**
 * What a source may emit: a message, or just the data of one.
 *
 * As with Nest's `@Sse()`, an object counts as a message when it has `data` and, next to it, only `id`, `type`, `retry` and `comment`; so
 * does a whole published message. To send such an object as data, wrap it: `{ data: { data: 1 } }`.
 */
export type FeedItem<T = unknown> = FeedMessage<T> | T;

/** What is published: the data is serialised once, so that later changes to it reach no reader. */
export interface Content {
  readonly type: string | undefined;
  readonly text: string;
  /** Whether the text is JSON. If not, the text is the data itself. */
  readonly isJson: boolean;
  /**
   * Where tracing is on, the context of the publication: `traceparent`, and after a space `tracestate` (W3C Trace Context). It is no part of
   * what is published: clients do not get it, and the same content with another one is the same.
   */
  readonly trace?: string;
}

/** A message whose data is text already: what a format encodes. */
export interface TextMessage extends Content {
  readonly id: string | undefined;
  readonly feed: string | undefined;
  /** When the broker stored it, in milliseconds since 1970; undefined where none has. */
  readonly time?: number | undefined;
}

/** The fields that only a source's message has, for an event stream. */
export type SourceFields = Pick<FeedMessage, 'retry' | 'comment'>;

/** A message as a broker stores and delivers it. It is also the position of a reader that has got it. */
export interface StoredMessage extends TextMessage, Position {
  readonly id: string;
  readonly feed: string;
  /** When the broker stored it, in milliseconds since 1970. */
  readonly time: number;
}

/**
 * Makes the message that a broker has stored.
 *
 * @param epoch what offsets count in: 1 to 32 of `a` to `z` and `0` to `9`; a broker that has lost its messages begins another one
 * @param offset grows from message to message, over all feeds of a broker
 * @param time in milliseconds since 1970
 */
export function storedMessage(
  feed: string,
  epoch: string,
  offset: number,
  time: number,
  { type, text, isJson, trace }: Content,
): StoredMessage {
  const id = `${epoch}-${offset}/${feed}`;
  if (trace === undefined) return { id, feed, type, text, isJson, time, epoch, offset };
  return { id, feed, type, text, isJson, time, epoch, offset, trace };
}

/** The message as an application gets it: a plain object of its own. */
export function toFeedMessage({ id, feed, type, text, isJson, time, trace }: StoredMessage | TextMessage): FeedMessage {
  // A key at a time: spreading an object for each costs ten times as much.
  const message: { -readonly [Key in keyof FeedMessage]?: FeedMessage[Key] } = {};
  if (id !== undefined) message.id = id;
  message.feed = feed;
  if (type !== undefined) message.type = type;
  message.data = isJson ? JSON.parse(text) : text;
  if (time !== undefined) message.time = time;
  if (trace !== undefined) noteTrace(message, trace);
  return message as FeedMessage;
}

/** The type of the message that tells a client that messages are lost. It cannot be published. */
export const resetType = 'reset';

/** The type of the message that tells a client why a source has failed. It cannot be published. */
export const failureType = 'error';

/** Those of Nest's `MessageEvent`. */
const itemKeys: ReadonlySet<string> = new Set(['data', 'id', 'type', 'retry', 'comment']);

/** Tells a message from the data of one. */
export function isMessage(item: unknown): item is FeedMessage {
  if (typeof item !== 'object' || item === null || !('data' in item)) return false;
  const isPublished = 'feed' in item && (('id' in item && 'time' in item) || ('type' in item && item.type === resetType));
  for (const key in item) if (!itemKeys.has(key) && !(isPublished && (key === 'feed' || key === 'time'))) return false;
  return true;
}
