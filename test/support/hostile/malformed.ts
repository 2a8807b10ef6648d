import fc from 'fast-check';

/** What all that is generated here comes from: the same seed gives the same bytes again. */
export const seed = Number(process.env.HOSTILE_SEED ?? 42);

/** Characters that no method, target or name may have. */
const control = fc.constantFrom(...'\0\x01\x07\x08\x0b\x0c\x1b\x1f\x7f');
const token = fc.stringMatching(/^[a-z]{1,12}$/);
const anyByte = fc.nat(255).map((byte) => String.fromCharCode(byte));
const anyBytes = fc.string({ unit: anyByte, minLength: 1, maxLength: 60 });

/** A request line that is none (RFC 9112 section 3). */
const requestLine = fc.oneof(
  fc.constantFrom('GET', '/feeds/1 HTTP/1.1', 'GET /feeds/1 HTTP/1.1 HTTP/1.1', 'GET HTTP/1.1 /feeds/1', ':'),
  fc.tuple(token, token).map(([method, id]) => `${method} /feeds/${id} HTTP/1.1`),
  fc.tuple(token, control, token).map((parts) => `GET /feeds/${parts.join('')} HTTP/1.1`),
  fc.tuple(token, token).map(([a, b]) => `GET /feeds/${a} ${b} HTTP/1.1`),
  fc
    .tuple(token, fc.constantFrom('HTTP/1.', 'HTTP/3.0', 'HTTP/11', 'HTTP/1.12', 'http/1.1', 'HTTPS/1.1', 'SPDY/9', 'HTTP/-1.1'))
    .map(([id, version]) => `GET /feeds/${id} ${version}`),
  // As TLS begins: anything that begins with a letter might be a method.
  anyBytes.map((bytes) => `\x16\x03\x01${bytes}`),
);

/** A line that is no field (RFC 9112 section 5), or one that would let two servers disagree about where a request ends (section 6.3). */
const fieldLine = fc.oneof(
  token.map((name) => `X-${name}`),
  token.map((value) => `: ${value}`),
  fc.tuple(token, fc.constantFrom(...' \t"(),/;<=>?@[\\]{}'), token).map(([a, b, c]) => `X-${a}${b}${c}: 1`),
  fc.tuple(token, control, token).map(([a, b, c]) => `X-${a}${b}${c}: 1`),
  fc.tuple(token, fc.constantFrom('\0', '\r', '\x01', '\x1b', '\x7f'), token).map(([a, b, c]) => `X-${a}: ${a}${b}${c}`),
  token.map((name) => `X-${name} : 1`),
  fc.constantFrom('-1', '+1', '1 1', '0x1', '1e1', '99999999999999999999', 'one', '1,2').map((length) => `Content-Length: ${length}`),
  fc.constantFrom('1\r\nContent-Length: 2', '5\r\nTransfer-Encoding: chunked').map((lengths) => `Content-Length: ${lengths}`),
  fc.constantFrom('chunked, identity', 'gzip', 'xchunked', 'chunked, gzip').map((coding) => `Transfer-Encoding: ${coding}`),
);

const good = ['Host: test', 'Connection: close', 'Accept: */*', 'Cookie: a=1; b=2'];

/** Whole heads of requests, none of them well-formed. */
export function malformedHeads(seed: number, count: number): string[] {
  const withBadLine = requestLine.map((line) => [line, ...good]);
  const withBadField = fc
    .tuple(fc.constantFrom('/feeds/', '/feeds?id='), token, fieldLine, fc.nat(good.length))
    .map(([path, id, field, at]) => [`GET ${path}${id} HTTP/1.1`, ...good.toSpliced(at, 0, field)]);
  const withoutHost = token.map((id) => [`GET /feeds/${id} HTTP/1.1`, 'Connection: close']);
  const tooLong = fc
    .integer({ min: 17_000, max: 40_000 })
    .map((length) => ['GET /feeds/1 HTTP/1.1', ...good, `X-Long: ${'x'.repeat(length)}`]);
  const head = fc
    .oneof(
      { weight: 40, arbitrary: withBadLine },
      { weight: 55, arbitrary: withBadField },
      { weight: 3, arbitrary: withoutHost },
      { weight: 2, arbitrary: tooLong },
    )
    .map((lines) => `${lines.join('\r\n')}\r\n\r\n`);
  return fc.sample(head, { seed, numRuns: count });
}

/** The rule for ids as the documentation has it. */
const isWellFormed = (id: string) => id.length <= 200 && /^[A-Za-z0-9._~:@-]+(\/[A-Za-z0-9._~:@-]+)*$/.test(id);

/** What a line break can hide in: by itself, in UTF-8, cut off to one byte, encoded twice. */
export const lineBreaks = [
  '%0d%0a',
  '%0a',
  '%0d',
  '%E5%98%8D%E5%98%8A',
  '%c4%8d%c4%8a',
  '%e2%80%a8',
  '%c2%85',
  '%250d%250a',
  '%00',
  '\\r\\n',
];

const nasty = fc.constantFrom(
  '\r',
  '\n',
  '\0',
  '/',
  '//',
  ' ',
  '"',
  '<',
  '>',
  '\\',
  '{',
  '}',
  '|',
  '^',
  '+',
  '*',
  '#',
  '?',
  '&',
  ';',
  ',',
  'ü',
  '😀',
  '\u2028',
);
const byte = fc.nat(255).map((value) => `%${value.toString(16).padStart(2, '0')}`);
const idUnit = fc.oneof(
  { weight: 3, arbitrary: token },
  { weight: 2, arbitrary: nasty.map(encodeURIComponent) },
  { weight: 2, arbitrary: byte },
  { weight: 1, arbitrary: fc.constantFrom('%', '%z1', '%4', '%u0041', '%%', '%2f%2f') },
  { weight: 1, arbitrary: fc.constantFrom(...lineBreaks).map((lineBreak) => `${lineBreak}X-Injected:%201`) },
);

/** Ids as they stand in a request's target, percent-encoded well or badly; what they say is never the id of a feed. */
export function malformedIds(seed: number, count: number): string[] {
  const tooLong = fc.integer({ min: 201, max: 2000 }).map((length) => 'x'.repeat(length));
  const id = fc.oneof(
    { weight: 1, arbitrary: tooLong },
    { weight: 50, arbitrary: fc.string({ unit: idUnit, minLength: 1, maxLength: 8 }) },
  );
  return fc.sample(
    id.filter((encoded) => !isWellFormed(decoded(encoded))),
    { seed, numRuns: count },
  );
}

function decoded(encoded: string): string {
  try {
    return decodeURIComponent(encoded);
  } catch {
    return encoded; // with its bad %, which is in no id
  }
}
