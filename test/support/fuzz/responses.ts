import fc from 'fast-check';
import { ResponseError, ResponseReader } from '../../../src/flood/response-reader.js';

const line = fc
  .string({ unit: fc.oneof(fc.string({ unit: 'binary', maxLength: 3 }), fc.constantFrom('\r', '0', ' ', ':')), maxLength: 30 })
  .map((text) => text.replaceAll('\n', ' '));
const cuts = fc.array(fc.nat(), { maxLength: 30 });

/** A response, its lines and how it is read. */
export const wellFormed = fc.record({
  status: fc.integer({ min: 200, max: 599 }),
  lines: fc.array(line, { maxLength: 8 }),
  isChunked: fc.boolean(),
  chunks: cuts,
  reads: cuts,
  extension: fc.constantFrom('', ';x', ';x=1', ' ', ';a="b"'),
  trailer: fc.constantFrom('', 'X: y\r\n', 'X: y\r\nZ: \r\n'),
  fields: fc.constantFrom('', 'X: y\r\n', 'Content-Type: text/plain\r\nDate: x\r\n'),
});

export type WellFormed = typeof wellFormed extends fc.Arbitrary<infer T> ? T : never;

export function bytesOf({ status, lines, isChunked, chunks, extension, trailer, fields }: WellFormed): Buffer {
  const head = `HTTP/1.1 ${status} X\r\n${fields}`;
  const body = Buffer.from(lines.map((text) => `${text}\n`).join(''));
  if (!isChunked) return Buffer.concat([Buffer.from(`${head}\r\n`), body]);
  const parts = edgesOf(body.length, chunks).map(([from, to]) => {
    const size = to - from;
    return Buffer.concat([Buffer.from(`${size.toString(16)}${extension}\r\n`), body.subarray(from, to), Buffer.from('\r\n')]);
  });
  return Buffer.concat([Buffer.from(`${head}Transfer-Encoding: chunked\r\n\r\n`), ...parts, Buffer.from(`0\r\n${trailer}\r\n`)]);
}

/** Bytes that were a response until something was done to them. */
export const broken = fc
  .record({
    whole: wellFormed,
    changes: fc.array(
      fc.tuple(
        fc.nat(),
        fc.oneof(fc.constantFrom('\r', '\n', '\r\n', '0', 'f', 'g', '\0', ' ', ';', '-', '\r\n\r\n'), fc.string({ maxLength: 3 })),
        fc.nat(3),
      ),
      { maxLength: 4 },
    ),
    reads: cuts,
  })
  .map(({ whole, changes, reads }) => {
    let text = bytesOf(whole).toString('latin1');
    for (const [at, put, over] of changes) text = text.slice(0, at % text.length) + put + text.slice((at % text.length) + over);
    return { bytes: Buffer.from(text, 'latin1'), reads };
  });

export interface Outcome {
  status: number;
  lines: string[];
  hasEnded: boolean;
  error: string | undefined;
}

/** Reads bytes in pieces, each from a buffer that is reused, as sockets do it. */
export function outcomeOf(bytes: Buffer, reads: readonly number[]): Outcome {
  const outcome: Outcome = { status: 0, lines: [], hasEnded: false, error: undefined };
  const reader = new ResponseReader({
    head(status) {
      outcome.status = status;
    },
    line(buffer, start, end) {
      outcome.lines.push(buffer.toString('utf8', start, end));
    },
    end() {
      outcome.hasEnded = true;
    },
  });
  const shared = Buffer.alloc(bytes.length + 16);
  try {
    for (const [from, to] of edgesOf(bytes.length, reads)) {
      shared.fill('\n');
      bytes.copy(shared, 0, from, to);
      reader.read(shared, to - from);
    }
  } catch (error) {
    if (!(error instanceof ResponseError)) throw error;
    outcome.error = error.message;
  }
  return outcome;
}

function edgesOf(length: number, cuts: readonly number[]): [number, number][] {
  if (length === 0) return [];
  const edges = [...new Set([0, ...cuts.map((cut) => cut % length), length])].sort((a, b) => a - b);
  return edges.slice(1).map((to, n) => [edges[n] as number, to]);
}
