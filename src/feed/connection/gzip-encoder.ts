import { appended } from '../coding/crc32.js';
import { GzipFrame, gzipHead, gzipTail } from '../coding/gzip.js';
import type { Format } from '../format/format.js';
import type { Transport } from '../transport/transport.js';
import { Encoder } from './encoder.js';
import { EncodedItem } from './send-queue.js';

/** A frame in gzip, ready for sockets. */
class CodedFrame extends GzipFrame {
  private chunk: Buffer | undefined = undefined;

  /** @param isChunked whether as one chunk (RFC 9112 section 7.1) */
  bytes(isChunked: boolean): Buffer {
    if (!isChunked) return this.coded;
    this.chunk ??= chunkOf(this.coded);
    return this.chunk;
  }
}

/** An item in a queue: its bytes are shared by all queues that it is in. */
class CodedItem extends EncodedItem {
  constructor(readonly frame: CodedFrame) {
    super('', frame.coded.length, 'latin1');
  }
}

const head = { plain: gzipHead, chunk: chunkOf(gzipHead) };

/**
 * Encodes messages in one format and compresses them, once for all connections. A connection has no compressor of its own: the response is
 * one gzip file, whose frames do not depend on each other, and all that is kept of them is the checksum that it ends with.
 */
export class GzipEncoder extends Encoder {
  private coded: CodedFrame | undefined = undefined;
  private readonly codedHeartbeat: CodedFrame;

  /** @param minBytes a message with fewer bytes is not compressed */
  constructor(
    format: Format,
    private readonly minBytes: number,
  ) {
    super(format);
    this.codedHeartbeat = this.code(format.heartbeat, 'latin1');
  }

  override send(transport: Transport): boolean {
    return this.writeFrame(this.codedFrame, transport);
  }

  override get item(): EncodedItem {
    return new CodedItem(this.codedFrame);
  }

  override sendItem(item: CodedItem, transport: Transport): boolean {
    return this.writeFrame(item.frame, transport);
  }

  override begin(transport: Transport): void {
    transport.write(transport.isChunked ? head.chunk : head.plain);
  }

  override sendHeartbeat(transport: Transport): void {
    this.writeFrame(this.codedHeartbeat, transport);
  }

  /** An incomplete response ends without the checksum: whatever decodes it cannot take it for complete. */
  override end(transport: Transport, isComplete: boolean): void {
    if (isComplete) {
      const tail = gzipTail(transport.checksum, transport.size);
      transport.write(transport.isChunked ? chunkOf(tail) : tail);
    }
    super.end(transport, isComplete);
  }

  protected override write(transport: Transport, body: string, _bytes: number, encoding: 'latin1' | 'utf8'): boolean {
    return this.writeFrame(this.code(body, encoding), transport);
  }

  protected override dropFrames(): void {
    this.coded = undefined;
  }

  /** What was encoded last. */
  private get codedFrame(): CodedFrame {
    this.coded ??= this.code(this.body, this.encoding);
    return this.coded;
  }

  private code(body: string, encoding: 'latin1' | 'utf8'): CodedFrame {
    return new CodedFrame(Buffer.from(body, encoding), this.minBytes);
  }

  private writeFrame(frame: CodedFrame, transport: Transport): boolean {
    transport.checksum = appended(transport.checksum, frame.checksum, frame.shift);
    transport.size = (transport.size + frame.size) | 0;
    this.sentBytes = frame.coded.length;
    return transport.write(frame.bytes(transport.isChunked));
  }
}

function chunkOf(bytes: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from('\r\n')]);
}
