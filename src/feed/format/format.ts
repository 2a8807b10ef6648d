import type { SourceFields, TextMessage } from '../message/message.js';

/** The type of the message that tells why a source has failed. */
export const failureType = 'error';

/** How messages look on the wire. Formats are pure: they know neither HTTP's framing nor connections. */
export interface Format {
  /** Its name in `?format=`. */
  readonly name: string;
  /** Its media type, which `Accept` is matched against. */
  readonly mediaType: string;
  readonly contentType: string;
  /**
   * Encodes a message.
   *
   * @throws TypeError when the format cannot express the message
   */
  encode(message: TextMessage & SourceFields): string;
  /** Encodes a position alone, in a format whose clients send it back when they reconnect. */
  mark?(position: string): string;
  /** Tells why a source has failed, as JSON, in a format that can tell it from data: the last message of a response that ends incomplete. */
  failure?(json: string): string;
  /** What a client ignores: it keeps proxies and clients from taking silence for the end. */
  readonly heartbeat: string;
  /** Tells the client how many milliseconds to wait before it reconnects, in a format whose clients reconnect by themselves. */
  retry?(ms: number): string;
}
