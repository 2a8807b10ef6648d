/** What travels on a feed. */
export interface FeedMessage<T = unknown> {
  /** The position on the feed, for `Last-Event-ID`; a source that cannot be resumed gives none. */
  readonly id?: string | undefined;
  /** The feed that it was published to; a source's messages have none. */
  readonly feed?: string | undefined;
  /** What kind of message it is: the `event` field of a server-sent event. */
  readonly type?: string | undefined;
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
