import { FeedMessageException } from './feed.errors.js';

/** What travels on a feed. */
export interface FeedMessage<T = unknown> {
  /** The position on the feed, for `Last-Event-ID`; a source that cannot be resumed gives none. */
  readonly id?: string;
  /** The feed that it was published to; a source's messages have none. */
  readonly feed?: string;
  /** What kind of message it is: the `event` field of a server-sent event. */
  readonly type?: string;
  /** Strings go out as they are, bytes as UTF-8, everything else as JSON. */
  readonly data: T;
}

/**
 * What a source may emit: a message, or just the data of one.
 *
 * As with Nest's `@Sse()`, an object counts as a message when it has `data` and, beside it, nothing but `id` and `type`.
 * To send such an object as data, wrap it: `{ data: { data: 1 } }`.
 */
export type FeedItem<T = unknown> = FeedMessage<T> | T;

/** What is published: data as text, made once, so that nobody can change what others will read. */
export interface Content {
  readonly type: string | undefined;
  readonly text: string;
  /** Whether the text is JSON; else it is the data itself. */
  readonly isJson: boolean;
}

/** A message that a broker has: it has its place on its feed. */
export class PublishedMessage implements FeedMessage {
  constructor(
    readonly feed: string,
    /** What the offset counts in: another one begins where a broker has lost what it knew. */
    readonly epoch: string,
    /** Grows from message to message, over all feeds of a broker. */
    readonly offset: number,
    /** When the broker got it, in milliseconds since 1970. */
    readonly time: number,
    readonly type: string | undefined,
    /** The data as text; see `Content`. */
    readonly text: string,
    readonly isJson: boolean,
  ) {}

  /** `<epoch>-<offset>/<feed>`: the position, and where it is one. */
  get id(): string {
    return `${this.epoch}-${this.offset}/${this.feed}`;
  }

  /** The data: a value of the reader's own, parsed anew each time. */
  get data(): unknown {
    return this.isJson ? JSON.parse(this.text) : this.text;
  }

  toJSON(): object {
    const { id, feed, type, data, time } = this;
    return { id, feed, type, data, time };
  }
}

/** A message that a connection gets besides what its feeds publish in order: a reset, or a replay that must not move its position. */
export class Notice implements FeedMessage {
  constructor(
    readonly feed: string,
    readonly type: string | undefined,
    readonly data: unknown,
    readonly id?: string,
  ) {}
}

/** Tells a message from the data of one. */
export function isMessage(item: unknown): item is FeedMessage {
  if (typeof item !== 'object' || item === null || !('data' in item)) return false;
  if (item instanceof PublishedMessage || item instanceof Notice) return true;
  for (const key in item) if (key !== 'data' && key !== 'id' && key !== 'type') return false;
  return true;
}

const utf8 = new TextDecoder();

/** The data of a message as text: strings as they are, bytes as UTF-8, everything else as JSON. */
export function dataAsText(message: FeedMessage): string {
  if (message instanceof PublishedMessage) return message.text;
  const { data } = message;
  if (typeof data === 'string') return data;
  if (data instanceof Uint8Array) return utf8.decode(data);
  return JSON.stringify(data) ?? 'null';
}

/** The data of a message as JSON: text and bytes as a JSON string. */
export function dataAsJson(message: FeedMessage): string {
  if (message instanceof PublishedMessage) return message.isJson ? message.text : JSON.stringify(message.text);
  const { data } = message;
  return JSON.stringify(data instanceof Uint8Array ? utf8.decode(data) : data) ?? 'null';
}

/** The type of the message with which a feed tells that a position is gone; nobody can publish it. */
export const resetType = 'reset';

/** The longest type, in characters. */
const longestType = 200;

/**
 * Makes what can be published of a value, and refuses what some format could not give back as it went in.
 *
 * A line of an event stream ends at CR as well as at LF, and all of CR, LF and CRLF come out as LF (HTML standard, section
 * 9.2.6): text with a CR would not come out as it went in. A lone surrogate has no UTF-8.
 *
 * @throws FeedMessageException (400) saying what is wrong and what is allowed
 */
export function contentOf(data: unknown, type?: string): Content {
  if (type !== undefined) checkType(type);
  const text = typeof data === 'string' ? data : data instanceof Uint8Array ? asUtf8(data) : undefined;
  if (text === undefined) return { type, text: asJson(data), isJson: true };
  if (text.includes('\r')) {
    throw new FeedMessageException(
      "A message's text must not contain carriage returns: end its lines with a line feed, or send it as JSON.",
    );
  }
  if (!text.isWellFormed()) throw new FeedMessageException("A message's text must be Unicode without lone surrogates.");
  return { type, text, isJson: false };
}

function checkType(type: unknown): void {
  if (typeof type !== 'string' || type.length < 1 || type.length > longestType || /[\r\n\0]/.test(type) || !type.isWellFormed()) {
    throw new FeedMessageException(`A message's type is 1 to ${longestType} characters, without line breaks, U+0000 and lone surrogates.`);
  }
  if (type === resetType) {
    throw new FeedMessageException(`The type "${resetType}" is how a feed tells that messages are lost: give your messages another one.`);
  }
}

const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function asUtf8(bytes: Uint8Array): string {
  try {
    return strictUtf8.decode(bytes);
  } catch {
    throw new FeedMessageException("A message's bytes must be UTF-8.");
  }
}

function asJson(data: unknown): string {
  try {
    return JSON.stringify(data) ?? 'null';
  } catch (error) {
    throw new FeedMessageException(`A message's data must be text, bytes or a JSON value: ${(error as Error).message}`);
  }
}
