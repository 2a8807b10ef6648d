import fc from 'fast-check';

const nasty = fc.constantFrom(
  ...['\r', '\n', '\r\n', '\n\n', '\0', '\u2028', '\u2029', '\u0085', '\ufeff', '\ud800', '\udc00', '😀', '\u001b', '\u007f', '\v', '\f'],
  ...[':', ' ', 'data: x', 'id: 1', 'event: x', 'retry: 0', ':\n', '}', '"', '\\', '\\n', '{"data":1}\n', '\r\n0\r\n\r\n', '1\r\nx\r\n'],
);
const unit = fc.oneof({ weight: 3, arbitrary: nasty }, { weight: 2, arbitrary: fc.string({ unit: 'binary', minLength: 1, maxLength: 3 }) });
export const anyText = fc.oneof(
  { weight: 20, arbitrary: fc.string({ unit, maxLength: 10 }) },
  { weight: 1, arbitrary: fc.tuple(unit, fc.integer({ min: 1, max: 20_000 })).map(([part, times]) => part.repeat(times / part.length)) },
);
/** Data of any kind: as `JSON.parse()` makes it, `__proto__` included, and as programs have it. */
export const anyData: fc.Arbitrary<unknown> = fc.oneof(
  { weight: 5, arbitrary: anyText },
  { weight: 3, arbitrary: fc.jsonValue({ stringUnit: 'binary' }) },
  { weight: 2, arbitrary: fc.dictionary(fc.oneof(anyText, fc.constantFrom('__proto__', 'toJSON', 'data', 'id', 'type', 'feed')), anyText) },
  { weight: 2, arbitrary: fc.uint8Array({ maxLength: 20 }) },
  { weight: 1, arbitrary: fc.oneof(fc.constantFrom(undefined, Number.NaN, -0, new Date(0), new Map([[1, 2]])), fc.double()) },
);

export interface Published {
  data: unknown;
  type: string | undefined;
}

/** The text of a value, as a client of an event stream gets it. @throws where it has none */
export function textOf(data: unknown): string {
  if (typeof data === 'string') return data;
  return data instanceof Uint8Array ? new TextDecoder('utf-8', { ignoreBOM: true }).decode(data) : (JSON.stringify(data) ?? 'null');
}

/** The value itself, as a client of NDJSON gets it. */
export function dataOf(data: unknown): unknown {
  return typeof data === 'string' || data instanceof Uint8Array ? textOf(data) : JSON.parse(textOf(data));
}

export const message: fc.Arbitrary<Published> = fc.record({
  data: anyData,
  type: fc.option(fc.oneof(anyText, fc.constantFrom('', 'message', 'error', 'open', 'reset', 'end')), { nil: undefined }),
});

/** What a source may emit, well or badly made. */
export const item = fc.oneof(
  anyData,
  fc.record(
    {
      data: anyData,
      id: fc.oneof(anyText, fc.constant('1')),
      type: anyText,
      retry: fc.oneof(fc.nat(), fc.constantFrom(-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 60)),
      comment: anyText,
    },
    { requiredKeys: ['data'] },
  ),
);

interface Fields {
  data: unknown;
  id?: string;
  type?: string;
  retry?: number;
}

/** What an item says: it is a message where it has data and nothing but the fields of one. */
export function fieldsOf(value: unknown): Fields {
  const known = ['data', 'id', 'type', 'retry', 'comment'];
  const isMessage =
    typeof value === 'object' && value !== null && 'data' in value && Object.keys(value).every((key) => known.includes(key));
  return isMessage ? (value as Fields) : { data: value };
}

/** Whether an event stream can express it. */
export function isExpressible({ id = '', type = '', retry = 0 }: Fields): boolean {
  return !/[\r\n\0]/.test(id + type) && Number.isSafeInteger(retry) && retry >= 0;
}

/** How a client of an event stream sees a text: the ends of its lines are line feeds, and what has no UTF-8 is replaced. */
export function linesOf(text: string): string {
  return text.replace(/\r\n|\r/g, '\n').toWellFormed();
}
