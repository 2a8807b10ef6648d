import type { Format } from '../format/format.js';
import { type FeedItem, isMessage } from '../message/message.js';

/**
 * Encodes what sources emit in one format, ready for sockets: once for each emission, however many connections it goes to.
 *
 * An Observable that many connections share hands the same value to one after the other, without a pause. So the last frame is
 * kept until the current callback ends, and given to whoever brings the same value. An object that comes to the same
 * connection again was emitted again, and may have changed: it is encoded anew. The frame's parts are this object's own
 * fields, so that a message which goes to one connection alone allocates nothing but its bytes.
 */
export class Encoder {
  /** Which emission the frame is of. */
  emission = 0;
  /** The message's bytes, without HTTP's framing. */
  bytes = 0;
  /** How the frame, while it is a string, is to be written: where all is ASCII, Latin-1 does it without a look at each character. */
  encoding: 'latin1' | 'utf8' = 'latin1';
  private item: FeedItem = undefined;
  private isKept = false;
  private body = '';
  /** The frame as bytes, from its second connection on: what many write then waits in memory once, however slow they are. */
  private plain: Buffer | undefined = undefined;
  private chunk: Buffer | undefined = undefined;
  private isShared = false;
  private readonly forget = () => {
    this.isKept = false;
    this.item = undefined;
    this.body = '';
    this.plain = undefined;
    this.chunk = undefined;
  };

  private readonly heartbeats: { readonly plain: Buffer; readonly chunk: Buffer };

  constructor(private readonly format: Format) {
    const { heartbeat } = format;
    this.heartbeats = { plain: Buffer.from(heartbeat), chunk: Buffer.from(framed(heartbeat, true) as string) };
  }

  /**
   * Makes the frame of an item, or keeps it where it is made already.
   *
   * @param seen the last emission that the connection got
   * @throws TypeError when the format cannot express the item
   */
  encode(item: FeedItem, seen: number): void {
    if (this.isKept && item === this.item && (typeof item !== 'object' || seen !== this.emission)) {
      this.isShared = true;
      return;
    }
    const body = this.format.encode(isMessage(item) ? item : { data: item });
    if (!this.isKept) process.nextTick(this.forget);
    this.isKept = true;
    this.item = item;
    this.body = body;
    this.bytes = Buffer.byteLength(body);
    this.encoding = this.bytes === body.length ? 'latin1' : 'utf8';
    this.emission += 1;
    this.isShared = false;
    this.plain = undefined;
    this.chunk = undefined;
  }

  /** The frame: as one chunk (RFC 9112 section 7.1) for a socket, or plain for a response that frames its chunks by itself. */
  frame(chunked: boolean): string | Buffer {
    if (!this.isShared) return chunked ? this.asChunk() : this.body;
    if (chunked) {
      this.chunk ??= Buffer.from(this.asChunk(), this.encoding);
      return this.chunk;
    }
    this.plain ??= Buffer.from(this.body, this.encoding);
    return this.plain;
  }

  private asChunk(): string {
    return `${this.bytes.toString(16)}\r\n${this.body}\r\n`;
  }

  /** The frame that tells a position; undefined in a format that cannot. */
  mark(position: string, chunked: boolean): string | undefined {
    return framed(this.format.mark?.(position), chunked);
  }

  /** The frame that tells a client when to come back; undefined in a format that cannot. */
  retry(ms: number, chunked: boolean): string | undefined {
    return framed(this.format.retry?.(ms), chunked);
  }

  /** The frame that a client ignores: the same bytes for all connections. */
  heartbeat(chunked: boolean): Buffer {
    return chunked ? this.heartbeats.chunk : this.heartbeats.plain;
  }
}

/** Frames what is ASCII. */
function framed(body: string | undefined, chunked: boolean): string | undefined {
  return chunked && body !== undefined ? `${body.length.toString(16)}\r\n${body}\r\n` : body;
}
