import fc from 'fast-check';
import { ndjson } from '../format/ndjson.js';
import { text } from '../format/text.js';
import { Encoder, Frame } from './frame.js';

describe('Frame', () => {
  it('frames any text as one chunk, as strings and as shared bytes', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (body) => {
        const frame = new Frame(body, 1);
        const bytes = Buffer.from(body);
        const chunk = Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from('\r\n')]);
        expect(Buffer.from(frame.chunk as string, frame.encoding)).toEqual(chunk);
        expect(Buffer.from(frame.plain as string, frame.encoding)).toEqual(bytes);
        frame.share();
        expect(frame.chunk).toEqual(chunk);
        expect(frame.plain).toEqual(bytes);
      }),
    );
  });
});

describe('Encoder', () => {
  it('encodes an emission once for all connections', () => {
    const encoder = new Encoder(ndjson);
    let encoded = 0;
    const item = { data: { toJSON: () => ++encoded } };
    const frames = Array.from({ length: 5 }, () => encoder.encode(item, 0));
    expect(encoded).toBe(1);
    expect(new Set(frames).size).toBe(1);
    expect(frames[0]?.plain).toBeInstanceOf(Buffer);
  });

  it('encodes an object anew that comes to the same connection again', () => {
    const encoder = new Encoder(ndjson);
    const item = { price: 1 };
    const seen = [0, 0].map((last) => encoder.encode(item, last).emission);
    item.price = 2;
    const again = seen.map((last) => encoder.encode(item, last));
    expect(again.map(({ plain }) => plain.toString())).toEqual(['{"data":{"price":2}}\n', '{"data":{"price":2}}\n']);
    expect(again[0]).toBe(again[1]);
  });

  it('keeps nothing beyond the current callback', async () => {
    const encoder = new Encoder(text);
    const item = { price: 1 };
    encoder.encode(item, 0);
    await new Promise(process.nextTick);
    item.price = 2;
    expect(encoder.encode(item, 0).plain).toBe('{"price":2}\n');
  });

  it('takes equal strings for the same', () => {
    const encoder = new Encoder(text);
    const first = encoder.encode('same', 0);
    expect(encoder.encode('same', first.emission)).toBe(first);
    expect(encoder.encode('other', 0)).not.toBe(first);
  });
});
