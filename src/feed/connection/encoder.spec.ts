import fc from 'fast-check';
import { ndjson } from '../format/ndjson.js';
import { text } from '../format/text.js';
import { Encoder } from './encoder.js';

describe('Encoder', () => {
  it('frames any text as one chunk, as a string and as shared bytes', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (line) => {
        const encoder = new Encoder(text);
        const plain = Buffer.from(`${line}\n`);
        const chunk = Buffer.concat([Buffer.from(`${plain.length.toString(16)}\r\n`), plain, Buffer.from('\r\n')]);
        encoder.encodeItem(line, 0);
        expect(encoder.bytes).toBe(plain.length);
        expect(Buffer.from(encoder.frame(true) as string, encoder.encoding)).toEqual(chunk);
        expect(Buffer.from(encoder.frame(false) as string, encoder.encoding)).toEqual(plain);
        encoder.encodeItem(line, 0);
        expect(encoder.frame(true)).toEqual(chunk);
        expect(encoder.frame(false)).toEqual(plain);
      }),
    );
  });

  it('encodes an emission once for all connections, and gives all but the first the same bytes', () => {
    const encoder = new Encoder(ndjson);
    let encoded = 0;
    const item = { data: { toJSON: () => ++encoded } };
    const frames = Array.from({ length: 5 }, () => {
      encoder.encodeItem(item, 0);
      return encoder.frame(true);
    });
    expect(encoded).toBe(1);
    expect(new Set(frames.slice(1)).size).toBe(1);
    expect(frames[1]).toBeInstanceOf(Buffer);
  });

  it('encodes an object anew that comes to the same connection again', () => {
    const encoder = new Encoder(ndjson);
    const item = { price: 1 };
    const follow = (seen: number) => {
      encoder.encodeItem(item, seen);
      return encoder.emission;
    };
    const seen = [0, 0].map(follow);
    item.price = 2;
    const bodies = seen.map((last) => {
      follow(last);
      return encoder.frame(false).toString();
    });
    expect(bodies).toEqual(['{"data":{"price":2}}\n', '{"data":{"price":2}}\n']);
  });

  it('keeps nothing beyond the current callback', async () => {
    const encoder = new Encoder(text);
    const item = { price: 1 };
    encoder.encodeItem(item, 0);
    await new Promise(process.nextTick);
    item.price = 2;
    encoder.encodeItem(item, 0);
    expect(encoder.frame(false)).toBe('{"price":2}\n');
  });
});
