import type { Format, Opening } from '../format/format.js';
import { isJsonData, textOf } from '../message/content.js';
import { type FeedItem, type FeedMessage, isMessage, type TextMessage } from '../message/message.js';
import type { Mark } from '../pubsub/replay-item.js';

/**
 * Encodes messages in one format, ready for sockets: once for each message, however many connections it goes to.
 *
 * A topic, or an Observable that many connections share, passes the same value to one connection after the other, without a pause. So
 * the last frame is kept until the current callback ends, and used for the same value. An object that comes to the same connection
 * again was emitted again, and may have changed: it is encoded again. The parts of the frame are fields of this object, so that a
 * message which goes to one connection alone allocates nothing but its bytes.
 */
export class Encoder {
  /** Which emission the frame is of. */
  emission = 0;
  /** The message's bytes, without HTTP's framing. */
  bytes = 0;
  /** The message as text, without HTTP's framing. */
  body = '';
  /** How the frame, while it is a string, is to be written: Latin-1 is faster for ASCII, since it does not look at each character. */
  encoding: 'latin1' | 'utf8' = 'latin1';
  private value: unknown = undefined;
  private isKept = false;
  /** The frame as bytes, from its second connection on: what many write then waits in memory once, however slow they are. */
  private plain: Buffer | undefined = undefined;
  private chunk: Buffer | undefined = undefined;
  private isShared = false;
  private readonly clear = () => {
    this.isKept = false;
    this.value = undefined;
    this.body = '';
    this.plain = undefined;
    this.chunk = undefined;
  };

  private readonly heartbeats: { readonly plain: Buffer; readonly chunk: Buffer };

  constructor(readonly format: Format) {
    const { heartbeat } = format;
    this.heartbeats = { plain: Buffer.from(heartbeat), chunk: Buffer.from(chunkOf(heartbeat, heartbeat.length)) };
  }

  /**
   * Encodes a message of a feed, unless its frame is there already.
   *
   * @param seen the last emission that the connection got
   */
  encode(message: TextMessage, seen: number): void {
    if (!this.isEncoded(message, seen)) this.keep(message, this.format.encode(message));
  }

  /**
   * Encodes an item of a source, unless its frame is there already.
   *
   * @param seen the last emission that the connection got
   * @throws TypeError when the format cannot express the item
   */
  encodeItem(item: FeedItem, seen: number): void {
    if (this.isEncoded(item, seen)) return;
    const { id, feed, type, data, time, retry, comment }: FeedMessage = isMessage(item) ? item : { data: item };
    this.keep(item, this.format.encode({ id, feed, type, text: textOf(data), isJson: isJsonData(data), time, retry, comment }));
  }

  /** The frame: one chunk (RFC 9112 section 7.1) for a socket, or plain for a response that frames its chunks itself. */
  frame(isChunked: boolean): string | Buffer {
    if (!this.isShared) return this.framed(this.body, this.bytes, isChunked);
    if (isChunked) {
      this.chunk ??= Buffer.from(chunkOf(this.body, this.bytes), this.encoding);
      return this.chunk;
    }
    this.plain ??= Buffer.from(this.body, this.encoding);
    return this.plain;
  }

  /** Frames what was encoded before. */
  framed(body: string, bytes: number, isChunked: boolean): string {
    return isChunked ? chunkOf(body, bytes) : body;
  }

  /** The frame that a connection begins with; undefined in a format that has none. */
  opening(opening: Opening, isChunked: boolean): string | undefined {
    return this.framedAscii(this.format.opening?.(opening), isChunked);
  }

  /** The frame that tells a position; undefined in a format that cannot. */
  mark({ position, isStart }: Mark, isChunked: boolean): string | undefined {
    return this.framedAscii(this.format.mark?.(position, isStart), isChunked);
  }

  /** The frame that tells a client after how many milliseconds to reconnect; undefined in a format that cannot. */
  retry(ms: number, isChunked: boolean): string | undefined {
    return this.framedAscii(this.format.retry?.(ms), isChunked);
  }

  /** The frame that tells why a source has failed; undefined in a format that does not. */
  failure(data: object, isChunked: boolean): string | undefined {
    const body = this.format.failure?.(JSON.stringify(data));
    return body && this.framed(body, Buffer.byteLength(body), isChunked);
  }

  /** The frame that a client ignores: the same bytes for all connections. */
  heartbeat(isChunked: boolean): Buffer {
    return isChunked ? this.heartbeats.chunk : this.heartbeats.plain;
  }

  private framedAscii(body: string | undefined, isChunked: boolean): string | undefined {
    return body && this.framed(body, body.length, isChunked);
  }

  private isEncoded(value: unknown, seen: number): boolean {
    if (!this.isKept || value !== this.value || (typeof value === 'object' && seen === this.emission)) return false;
    this.isShared = true;
    return true;
  }

  private keep(value: unknown, body: string): void {
    if (!this.isKept) process.nextTick(this.clear);
    this.isKept = true;
    this.value = value;
    this.body = body;
    this.bytes = Buffer.byteLength(body);
    this.encoding = this.bytes === body.length ? 'latin1' : 'utf8';
    this.emission += 1;
    this.isShared = false;
    this.plain = undefined;
    this.chunk = undefined;
  }
}

function chunkOf(body: string, bytes: number): string {
  return `${bytes.toString(16)}\r\n${body}\r\n`;
}
