import type { FeedMessage } from '../message/message.js';

/** How messages look on the wire. Formats are pure: they know nothing of HTTP's own framing or of connections. */
export interface Format {
  /** What `?format=` calls it. */
  readonly name: string;
  /** What `Accept` is matched against. */
  readonly mediaType: string;
  readonly contentType: string;
  /** A message as it goes out. Throws a `TypeError` when the message cannot be written in this format. */
  encode(message: FeedMessage): string;
  /** Tells a position where no message does, in a format whose clients then come back with it. */
  mark?(position: string): string;
  /** What a client ignores: keeps proxies and clients from taking silence for the end. */
  readonly heartbeat: string;
  /** Tells the client how many milliseconds to wait before it comes back, in a format whose clients do by themselves. */
  retry?(ms: number): string;
}
