import type { SourceFields, TextMessage } from '../message/message.js';

/** What a client is told of a connection at its beginning. */
export interface Opening {
  /** The connection's id. */
  readonly connection: string;
  /** Where it begins; undefined where it has none of its feeds' history. */
  readonly position: string | undefined;
  /** Silence after which the server sends a heartbeat, in milliseconds; 0 for none. */
  readonly heartbeatMs: number;
  /** Those of the feeds that had ended before, which it does not follow. */
  readonly ended: readonly string[];
}

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
  /** Encodes what a connection begins with, in a format that has a place for it: before everything else. */
  opening?(opening: Opening): string;
  /**
   * Encodes a position alone, in a format whose clients send it back when they reconnect.
   *
   * @param isStart whether a replay begins there; otherwise the client has come to its end
   */
  mark?(position: string, isStart: boolean): string | undefined;
  /** Tells why a source has failed, as JSON, in a format that can tell it from data: the last message of a response that ends incomplete. */
  failure?(json: string): string;
  /** What a client ignores: it keeps proxies and clients from taking silence for the end. */
  readonly heartbeat: string;
  /** Tells the client how many milliseconds to wait before it reconnects, in a format whose clients reconnect by themselves. */
  retry?(ms: number): string;
}
