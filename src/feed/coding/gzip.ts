import { constants, crc32, deflateRawSync } from 'node:zlib';
import { shiftOf } from './crc32.js';

/** What a response begins with: the header of the one member of a gzip file, without a name or a time (RFC 1952 section 2.3). */
export const gzipHead = Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff]);

/** The last block, which is empty (RFC 1951 section 3.2.6). */
const lastBlock = Buffer.from([3, 0]);

/** The most bytes of a block that is stored as it is (RFC 1951 section 3.2.4). */
export const longestStored = 65_535;

/**
 * A part of a gzip file that refers to nothing before it and ends at a byte (`Z_FULL_FLUSH`). So the same bytes may follow any others: they
 * are compressed once for all files that they are a part of, and a decoder has all of it when it has the last byte.
 */
export class GzipFrame {
  readonly coded: Buffer;
  /** The length and the checksum of its content. */
  readonly size: number;
  readonly checksum: number;
  /** What it does to the checksum of what is before it. */
  readonly shift: number;

  /** @param minBytes the least that is worth the time to compress it */
  constructor(content: Buffer, minBytes: number) {
    const { length } = content;
    const deflated = length < minBytes ? undefined : deflateRawSync(content, { finishFlush: constants.Z_FULL_FLUSH });
    this.coded = deflated && (deflated.length < length || length > longestStored) ? deflated : stored(content);
    this.size = length;
    this.checksum = crc32(content) | 0; // signed: V8 keeps it without an object
    this.shift = shiftOf(length);
  }
}

/** What a complete file ends with: the checksum and the length of its content. */
export function gzipTail(checksum: number, size: number): Buffer {
  const tail = Buffer.alloc(lastBlock.length + 8);
  lastBlock.copy(tail);
  tail.writeInt32LE(checksum, lastBlock.length);
  tail.writeInt32LE(size, lastBlock.length + 4);
  return tail;
}

function stored(content: Buffer): Buffer {
  const { length } = content;
  return Buffer.concat([Buffer.from([0, length & 0xff, length >> 8, ~length & 0xff, (~length >> 8) & 0xff]), content]);
}
