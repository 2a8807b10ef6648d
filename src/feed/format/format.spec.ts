import fc from 'fast-check';
import { type SourceFields, storedMessage, type TextMessage } from '../message/message.js';
import { labelled } from './formats.js';
import { ndjson } from './ndjson.js';
import { sse } from './sse.js';
import { text } from './text.js';

const message = (fields: Partial<TextMessage & SourceFields>): TextMessage & SourceFields => {
  return { id: undefined, feed: undefined, type: undefined, text: 'x', isJson: false, ...fields };
};

it.each(['a\nb', 'a\rb', 'a\0b'])('sse rejects the id and the type %j', (value) => {
  expect(() => sse.encode(message({ id: value }))).toThrow(/id must not contain line breaks/);
  expect(() => sse.encode(message({ type: value }))).toThrow(/type must not contain line breaks/);
});

it("sse writes the fields of a source's message, and no client takes a part of a comment for one", () => {
  const { retry, comment } = { retry: 5000, comment: 'a\r\nretry: 1\rb' };
  expect(sse.encode(message({ id: '1', type: 't', retry, comment }))).toBe(
    ': a\n: retry: 1\n: b\nretry: 5000\nid: 1\nevent: t\ndata: x\n\n',
  );
  for (const wrong of [-1, 0.5, Number.NaN]) expect(() => sse.encode(message({ retry: wrong }))).toThrow(/retry must be a whole number/);
});

it('text begins a line with its feed on a connection with several feeds, unless it is of a source', () => {
  expect(labelled(text).encode(message({ feed: 'a', text: 'as it is' }))).toBe('a\tas it is\n');
  expect(labelled(text).encode(message({ text: 'of a source' }))).toBe('of a source\n');
});

it('ndjson writes any time as JSON does', () => {
  const times = fc.oneof(
    fc.maxSafeNat(),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.constantFrom(0, 999_999, 1_000_000, 1_000_001),
  );
  fc.assert(fc.property(times, (time) => JSON.parse(ndjson.encode(message({ time }))).time === time || Object.is(time, -0)));
});

it('ndjson escapes the id and the feed of a source, and needs not of what a broker has stored', () => {
  const wild = { id: '"\\\n', feed: 'a"b' };
  expect(JSON.parse(ndjson.encode(message(wild)))).toMatchObject(wild);
  const stored = storedMessage('a.b/c~d:e@f-g', 'epoch1', 5, 1_796_000_000_000, { type: 't"', text: '{"n":1}', isJson: true });
  const { id, feed, type, time } = stored;
  expect(JSON.parse(ndjson.encode(stored))).toEqual({ id, feed, type, time, data: { n: 1 } });
});
