/** What travels on a feed. */
export interface FeedMessage<T = unknown> {
  /** The position on the feed, for `Last-Event-ID`; a source that cannot be resumed gives none. */
  readonly id?: string;
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

/** Tells a message from the data of one. */
export function isMessage(item: unknown): item is FeedMessage {
  if (typeof item !== 'object' || item === null || !('data' in item)) return false;
  for (const key in item) if (key !== 'data' && key !== 'id' && key !== 'type') return false;
  return true;
}

const utf8 = new TextDecoder();

/** The data of a message as text: strings as they are, bytes as UTF-8, everything else as JSON. */
export function dataAsText(data: unknown): string {
  if (typeof data === 'string') return data;
  if (data instanceof Uint8Array) return utf8.decode(data);
  return JSON.stringify(data) ?? 'null';
}
