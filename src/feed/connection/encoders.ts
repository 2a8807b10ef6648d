import type { IncomingMessage } from 'node:http';
import { type Coding, chooseCoding } from '../coding/choose-coding.js';
import type { Format } from '../format/format.js';
import { variants } from '../format/formats.js';
import type { AnyResponse } from '../http/adapter.js';
import { isEncoded } from '../http/head.js';
import { Encoder } from './encoder.js';
import { GzipEncoder } from './gzip-encoder.js';

/** When messages are compressed. */
export interface CompressOptions {
  /** The bytes, without HTTP's framing, from which on a message is compressed; what is shorter is sent as it is. */
  readonly minBytes: number;
}

/** The encoders of all connections: one for each format, and one more where it is compressed. */
export class Encoders {
  private readonly plain = new Map(variants.map((format) => [format, new Encoder(format)]));
  private readonly gzip: ReadonlyMap<Format, Encoder> | undefined;

  /** @param compress undefined: nothing is compressed */
  constructor(compress: CompressOptions | undefined) {
    this.gzip = compress && new Map(variants.map((format) => [format, new GzipEncoder(format, compress.minBytes)]));
  }

  /**
   * How a response is encoded; undefined where that is not negotiated.
   *
   * @throws FeedException FEED_CODING (406)
   */
  codingFor({ headers }: IncomingMessage, response: AnyResponse): Coding | undefined {
    return this.gzip && !isEncoded(response) ? chooseCoding(headers['accept-encoding']) : undefined;
  }

  of(format: Format, coding: Coding | undefined): Encoder {
    return ((coding === 'gzip' && this.gzip) || this.plain).get(format) as Encoder;
  }
}
