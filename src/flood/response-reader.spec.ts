import fc from 'fast-check';
import { ResponseReader } from './response-reader.js';

/** Reads a response in pieces, each from a buffer that is reused, as sockets do it. */
function read(bytes: Buffer, cuts: number[]) {
  const seen = { status: 0, lines: [] as string[], ended: false };
  const reader = new ResponseReader({
    head(status) {
      seen.status = status;
    },
    line(buffer, start, end) {
      seen.lines.push(buffer.toString('utf8', start, end));
    },
    end() {
      seen.ended = true;
    },
  });
  const shared = Buffer.alloc(bytes.length + 16, '\n');
  const edges = [...new Set([0, ...cuts.map((cut) => cut % bytes.length), bytes.length])].sort((a, b) => a - b);
  for (let n = 1; n < edges.length; n += 1) {
    const [from, to] = [edges[n - 1] as number, edges[n] as number];
    shared.fill('\n');
    bytes.copy(shared, 0, from, to);
    reader.read(shared, to - from);
  }
  return seen;
}

const line = fc.string({ unit: 'grapheme', maxLength: 80 }).map((text) => text.replaceAll('\n', ' '));
const cuts = fc.array(fc.nat(), { maxLength: 60 });

describe('ResponseReader', () => {
  it('reads the same lines however the bytes are cut and chunked', () => {
    fc.assert(
      fc.property(fc.array(line, { minLength: 1 }), cuts, cuts, (lines, chunkCuts, readCuts) => {
        const body = Buffer.from(lines.map((text) => `${text}\n`).join(''));
        const edges = [...new Set([0, ...chunkCuts.map((cut) => cut % body.length), body.length])].sort((a, b) => a - b);
        const chunks = edges.slice(1).flatMap((to, n) => {
          const piece = body.subarray(edges[n], to);
          return [Buffer.from(`${piece.length.toString(16).toUpperCase()};x=1\r\n`), piece, Buffer.from('\r\n')];
        });
        const head = Buffer.from('HTTP/1.1 200 OK\r\nX: y\r\nTransfer-Encoding: chunked\r\n\r\n');
        const bytes = Buffer.concat([head, ...chunks, Buffer.from('0\r\nTrailer: x\r\n\r\n')]);
        expect(read(bytes, readCuts)).toEqual({ status: 200, lines, ended: true });
      }),
      { numRuns: 500 },
    );
  });

  it('reads a body that ends by closing', () => {
    fc.assert(
      fc.property(fc.array(line), cuts, (lines, readCuts) => {
        const bytes = Buffer.from(`HTTP/1.0 404 Not Found\r\n\r\n${lines.map((text) => `${text}\n`).join('')}`);
        expect(read(bytes, readCuts)).toEqual({ status: 404, lines, ended: false });
      }),
    );
  });
});
