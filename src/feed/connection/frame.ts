import { type FeedItem, isMessage } from '../feed.message.js';
import type { Format } from '../format/format.js';

/** One message in one format, ready for sockets. */
export class Frame {
  /** The message alone, for a response that frames its chunks by itself. */
  plain: string | Buffer;
  /** The message as one chunk (RFC 9112 section 7.1), for a socket. */
  chunk: string | Buffer;
  /** How the strings are to be written; where all is ASCII, Latin-1 does it without a look at each character. */
  readonly encoding: 'latin1' | 'utf8';
  /** The message's bytes, without HTTP's framing. */
  readonly bytes: number;

  constructor(
    body: string,
    /** Which emission of the encoder it is. */
    readonly emission: number,
  ) {
    this.bytes = Buffer.byteLength(body);
    this.encoding = this.bytes === body.length ? 'latin1' : 'utf8';
    this.plain = body;
    this.chunk = `${this.bytes.toString(16)}\r\n${body}\r\n`;
  }

  /** Makes bytes of the strings: what several connections write then waits in memory once, however slow they are. */
  share(): void {
    if (typeof this.plain !== 'string') return;
    this.plain = Buffer.from(this.plain, this.encoding);
    this.chunk = Buffer.from(this.chunk as string, this.encoding);
  }
}

/**
 * Encodes what sources emit in one format: once for each emission, however many connections it goes to.
 *
 * An Observable that many connections share hands the same value to one after the other, without a pause. So the last frame is
 * kept until the current callback ends, and given to whoever brings the same value. An object that comes to the same
 * connection again was emitted again, and may have changed: it is encoded anew.
 */
export class Encoder {
  private item: FeedItem = undefined;
  private frame: Frame | undefined = undefined;
  private emission = 0;
  private readonly forget = () => {
    this.item = undefined;
    this.frame = undefined;
  };

  constructor(private readonly format: Format) {}

  /**
   * @param seen the last emission that the connection got
   * @throws TypeError when the format cannot express the item
   */
  encode(item: FeedItem, seen: number): Frame {
    const { frame } = this;
    if (frame !== undefined && item === this.item && (typeof item !== 'object' || seen !== frame.emission)) {
      frame.share();
      return frame;
    }
    const made = new Frame(this.format.encode(isMessage(item) ? item : { data: item }), this.emission + 1);
    if (frame === undefined) process.nextTick(this.forget);
    this.emission += 1;
    this.item = item;
    this.frame = made;
    return made;
  }
}
