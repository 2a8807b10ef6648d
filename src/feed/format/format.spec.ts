import fc from 'fast-check';
import type { TextMessage } from '../message/message.js';
import { chooseFormat, labelled } from './formats.js';
import { ndjson } from './ndjson.js';
import { sse } from './sse.js';
import { text } from './text.js';

/** Parses an event stream as the HTML standard says (section 9.2.6), as far as fields go. */
function parse(stream: string) {
  const events: { id?: string; type?: string; data: string }[] = [];
  let event: { id?: string; type?: string; data?: string } = {};
  for (const line of stream.split(/\r\n|\r|\n/).slice(0, -1)) {
    if (line === '') {
      if (event.data !== undefined) events.push({ ...event, data: event.data });
      event = {};
      continue;
    }
    const colon = line.indexOf(':');
    const field = line.slice(0, colon);
    const value = line.slice(colon + 1).replace(/^ /, '');
    if (field === 'data') event.data = event.data === undefined ? value : `${event.data}\n${value}`;
    else if (field === 'event') event.type = value;
    else if (field === 'id') event.id = value;
    else throw new Error(`forged field ${field}`);
  }
  return events;
}

const anything = fc.string({ unit: fc.oneof(fc.constantFrom('\r', '\n', ':', ' ', 'id: ', '\u2028', '\0'), fc.string({ maxLength: 3 })) });
const message = (fields: Partial<TextMessage>): TextMessage => {
  return { id: undefined, feed: undefined, type: undefined, text: 'x', isJson: false, ...fields };
};
const oneLine = fc.string({ minLength: 1 }).filter((value) => !/[\r\n\0]/.test(value));

describe('sse', () => {
  it('gives back what went in, with every line break read as a line feed', () => {
    fc.assert(
      fc.property(anything, fc.option(oneLine, { nil: undefined }), fc.option(oneLine, { nil: undefined }), (text, id, type) => {
        const [event, ...more] = parse(sse.encode(message({ text, id, type })));
        expect(more).toEqual([]);
        expect({ id: undefined, type: undefined, ...event }).toEqual({ id, type, data: text.replace(/\r\n|\r/g, '\n') });
      }),
      { numRuns: 1000 },
    );
  });

  it.each(['a\nb', 'a\rb', 'a\0b'])('rejects the id and the type %j', (value) => {
    expect(() => sse.encode(message({ id: value }))).toThrow(/id must not contain line breaks/);
    expect(() => sse.encode(message({ type: value }))).toThrow(/type must not contain line breaks/);
  });
});

describe('ndjson', () => {
  it('gives back what went in, on one line', () => {
    fc.assert(
      fc.property(fc.jsonValue(), anything, (data, id) => {
        for (const content of [
          { text: JSON.stringify(data), isJson: true },
          { text: id, isJson: false },
        ]) {
          const line = ndjson.encode(message({ id, ...content }));
          expect(line.indexOf('\n')).toBe(line.length - 1);
          expect(JSON.parse(line)).toEqual({ id, data: content.isJson ? JSON.parse(content.text) : id });
        }
      }),
    );
  });
});

describe('text', () => {
  it('writes the text on a line, after the feed on a connection with several feeds', () => {
    expect(text.encode(message({ feed: 'a', text: 'as it is' }))).toBe('as it is\n');
    expect(labelled(text).encode(message({ feed: 'a', text: 'as it is' }))).toBe('a\tas it is\n');
    expect(labelled(text).encode(message({ text: 'of a source' }))).toBe('of a source\n');
    expect(labelled(sse)).toBe(sse);
  });
});

describe('chooseFormat', () => {
  it.each([
    [undefined, null, text],
    ['text/*', null, text],
    ['application/*', null, ndjson],
    ['text/event-stream, text/plain', null, sse],
    [undefined, 'sse', sse],
  ])('for Accept %s and ?format=%s', (accept, query, format) => {
    expect(chooseFormat(accept, query)).toBe(format);
  });

  it.each([
    ['text/plain;q=0', null],
    ['nonsense', null],
    [undefined, 'SSE'],
    [undefined, ''],
  ])('has none for Accept %s and ?format=%s, and says which there are', (accept, query) => {
    const response = expect.objectContaining({ formats: ['text', 'sse', 'ndjson'] });
    expect(() => chooseFormat(accept, query)).toThrow(expect.objectContaining({ code: 'FEED_FORMAT', response }));
  });
});
