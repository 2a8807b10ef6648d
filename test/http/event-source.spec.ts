import { once } from 'node:events';
import { EventSource } from 'eventsource';
import fc from 'fast-check';
import { asJson, closeAll, platforms, post, publishKey, type Served, serveFeeds, until } from '../support/serve.js';

const nasty = [
  '\r',
  '\n',
  '\r\n',
  '\n\n',
  '\0',
  '\u2028',
  '\u2029',
  '\u0085',
  '\ufeff',
  '\ud800',
  '\udc00',
  '😀',
  ':',
  ' ',
  'data: x',
  'id: 1',
  'event: x',
  'retry: 0',
  '}',
  '"',
  '\\',
];
const anyText = fc.string({ unit: fc.oneof(fc.constantFrom(...nasty), fc.string({ minLength: 1, maxLength: 4 })), maxLength: 12 });

describe.each(platforms)('what an EventSource gets on %s', (platform) => {
  let served: Served;
  let source: EventSource;
  const got: { type: string; data: string; id: string }[] = [];
  const heard = new Set<string>();

  const hear = (type: string) => {
    if (heard.has(type)) return;
    heard.add(type);
    source.addEventListener(type, ({ data, lastEventId }) => got.push({ type, data, id: lastEventId }));
  };
  const publish = (body: unknown) => post(`${served.url}/feeds`, JSON.stringify(body), asJson);

  beforeAll(async () => {
    served = await serveFeeds(platform, { publishKey });
    source = new EventSource(`${served.url}/feeds/a`);
    hear('message');
    await once(source as never, 'open');
  });
  afterAll(async () => {
    source.close();
    await closeAll();
  });

  /** Publishes, and expects that it comes out as it went in, or was refused. */
  const comesThrough = async (data: unknown, type: string | undefined): Promise<boolean> => {
    if (type !== undefined) hear(type);
    got.length = 0;
    const answer = await publish({ feeds: ['a'], data, type });
    if (answer.status === 400) {
      expect(await answer.json()).toMatchObject({ code: 'FEED_MESSAGE' });
      return false;
    }
    expect(answer.status).toBe(201);
    const [message] = ((await answer.json()) as { messages: { id: string }[] }).messages;
    // Whatever the message might have forged would be here before the next one.
    await publish({ feeds: ['a'], data: 'end' });
    await until(() => got.at(-1)?.data === 'end');
    const text = typeof data === 'string' ? data : JSON.stringify(data);
    expect(got).toEqual([{ type: type ?? 'message', data: text, id: message?.id }, expect.objectContaining({ data: 'end' })]);
    return true;
  };

  it('is what was published, whatever is in it, or was refused', async () => {
    const passed = { yes: 0, no: 0 };
    await fc.assert(
      fc.asyncProperty(anyText, fc.option(anyText, { nil: undefined }), async (data, type) => {
        const isFit =
          !data.includes('\r') &&
          data.isWellFormed() &&
          (type === undefined || (type !== '' && !/[\r\n\0]/.test(type) && type.isWellFormed()));
        expect(await comesThrough(data, type)).toBe(isFit);
        passed[isFit ? 'yes' : 'no'] += 1;
      }),
      {
        numRuns: 300,
        examples: [
          ['', undefined],
          ['\n', undefined],
          ['a\n', 'ü'],
          ['\ufeff', undefined],
          [' x', ' y'],
        ],
      },
    );
    expect(Math.min(passed.yes, passed.no)).toBeGreaterThan(20);
  });

  it('is any JSON value, as JSON', async () => {
    await fc.assert(
      fc.asyncProperty(fc.oneof(fc.jsonValue(), fc.dictionary(anyText, anyText), fc.array(anyText)), async (data) => {
        // Fastify's own parser refuses names that could change what an object is.
        if (typeof data === 'string' || /"(__proto__|constructor)"/.test(JSON.stringify(data))) return;
        expect(await comesThrough(data, undefined)).toBe(true);
      }),
      { numRuns: 100 },
    );
  });

  it('is a line of 64 KiB', async () => {
    expect(await comesThrough('x'.repeat(65_536), undefined)).toBe(true);
    // Line breaks alone, too; as JSON they would be twice as many bytes, which is more than Express's own parser takes.
    got.length = 0;
    await post(`${served.url}/feeds/a`, '\n'.repeat(65_536));
    await until(() => got.length === 1);
    expect(got[0]?.data).toBe('\n'.repeat(65_536));
  });
});
