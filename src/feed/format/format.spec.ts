import fc from 'fast-check';
import { chooseFormat } from './formats.js';
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
const oneLine = fc.string({ minLength: 1 }).filter((value) => !/[\r\n\0]/.test(value));

describe('sse', () => {
  it('gives back what went in, with every line break read as a line feed', () => {
    fc.assert(
      fc.property(anything, fc.option(oneLine, { nil: undefined }), fc.option(oneLine, { nil: undefined }), (data, id, type) => {
        const trimmed = { id, type };
        const [event, ...more] = parse(sse.encode({ data, ...trimmed }));
        expect(more).toEqual([]);
        expect(event).toEqual({ ...JSON.parse(JSON.stringify(trimmed)), data: data.replace(/\r\n|\r/g, '\n') });
      }),
      { numRuns: 1000 },
    );
  });

  it.each(['a\nb', 'a\rb', 'a\0b'])('refuses the id and the type %j', (value) => {
    expect(() => sse.encode({ data: 1, id: value })).toThrow(/id must not contain line breaks/);
    expect(() => sse.encode({ data: 1, type: value })).toThrow(/type must not contain line breaks/);
  });
});

describe('ndjson', () => {
  it('gives back what went in, on one line', () => {
    fc.assert(
      fc.property(fc.jsonValue(), anything, (data, id) => {
        const line = ndjson.encode({ data, id });
        expect(line.indexOf('\n')).toBe(line.length - 1);
        expect(JSON.parse(line)).toEqual(JSON.parse(JSON.stringify({ id, data })));
      }),
    );
  });
});

describe('text', () => {
  it.each([
    ['as it is', 'as it is\n'],
    [Buffer.from('bytes ü'), 'bytes ü\n'],
    [{ a: 1 }, '{"a":1}\n'],
    [undefined, 'null\n'],
    [0, '0\n'],
  ])('writes %j', (data, line) => {
    expect(text.encode({ data })).toBe(line);
  });
});

describe('chooseFormat', () => {
  it.each([
    [undefined, null, text],
    ['text/*', null, text],
    ['application/*', null, ndjson],
    ['text/event-stream, text/plain', null, sse],
    ['text/plain;q=0', null, undefined],
    ['nonsense', null, undefined],
    [undefined, 'SSE', undefined],
    [undefined, '', undefined],
    [undefined, 'sse', sse],
  ])('for Accept %s and ?format=%s', (accept, query, format) => {
    expect(chooseFormat(accept, query)).toBe(format);
  });
});
