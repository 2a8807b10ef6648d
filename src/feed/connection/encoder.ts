import type { Format, Opening } from '../format/format.js';
import { isJsonData, textOf } from '../message/content.js';
import { type FeedItem, type FeedMessage, isMessage, type TextMessage } from '../message/message.js';
import type { Mark } from '../pubsub/replay-item.js';
import type { Transport } from '../transport/transport.js';
import { EncodedItem } from './send-queue.js';

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
  /** The bytes that were last sent, without HTTP's framing. */
  sentBytes = 0;
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
    this.dropFrames();
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

  /**
   * Sends what was encoded last.
   *
   * @returns whether the writer may go on without waiting
   */
  send(transport: Transport): boolean {
    this.sentBytes = this.bytes;
    return transport.write(this.frame(transport.isChunked), this.encoding);
  }

  /** What was encoded last, for a queue. */
  get item(): EncodedItem {
    return new EncodedItem(this.body, this.bytes, this.encoding);
  }

  /** Sends an item that has been in a queue; returns as `send()`. */
  sendItem({ body, bytes, encoding }: EncodedItem, transport: Transport): boolean {
    return this.write(transport, body, bytes, encoding);
  }

  /** Begins a response, before anything else is sent. */
  begin(_transport: Transport): void {}

  /** Sends what a connection begins with, in a format that has a place for it. */
  sendOpening(opening: Opening, transport: Transport): void {
    this.writeAscii(transport, this.format.opening?.(opening));
  }

  /** Tells a position, in a format that can. */
  sendMark({ position, isStart }: Mark, transport: Transport): void {
    this.writeAscii(transport, this.format.mark?.(position, isStart));
  }

  /** Tells a client after how many milliseconds to reconnect, in a format that can. */
  sendRetry(ms: number, transport: Transport): void {
    this.writeAscii(transport, this.format.retry?.(ms));
  }

  /** Tells why a source has failed, in a format that can; returns whether it does. */
  sendFailure(data: object, transport: Transport): boolean {
    const body = this.format.failure?.(JSON.stringify(data));
    if (body) this.write(transport, body, Buffer.byteLength(body), 'utf8');
    return body !== undefined;
  }

  /** Sends what a client ignores: the same bytes for all connections. */
  sendHeartbeat(transport: Transport): void {
    transport.write(transport.isChunked ? this.heartbeats.chunk : this.heartbeats.plain);
  }

  /** Ends a response, in good order or not. */
  end(transport: Transport, isComplete: boolean): void {
    transport.end(isComplete);
  }

  /** Sends a text to one connection; returns as `send()`. */
  protected write(transport: Transport, body: string, bytes: number, encoding: 'latin1' | 'utf8'): boolean {
    this.sentBytes = bytes;
    return transport.write(transport.isChunked ? chunkOf(body, bytes) : body, encoding);
  }

  /** Another message is encoded, or none. */
  protected dropFrames(): void {
    this.plain = undefined;
    this.chunk = undefined;
  }

  /** The frame: one chunk (RFC 9112 section 7.1) for a socket, or plain for a response that frames its chunks itself. */
  frame(isChunked: boolean): string | Buffer {
    if (!this.isShared) return isChunked ? chunkOf(this.body, this.bytes) : this.body;
    if (isChunked) {
      this.chunk ??= Buffer.from(chunkOf(this.body, this.bytes), this.encoding);
      return this.chunk;
    }
    this.plain ??= Buffer.from(this.body, this.encoding);
    return this.plain;
  }

  private writeAscii(transport: Transport, body: string | undefined): void {
    if (body) this.write(transport, body, body.length, 'latin1');
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
    this.dropFrames();
  }
}

function chunkOf(body: string, bytes: number): string {
  return `${bytes.toString(16)}\r\n${body}\r\n`;
}
