import fc from 'fast-check';
import { publishKey } from '../post.js';

/** Some bytes for one connection, in the pieces in which they are sent. */
export interface Conversation {
  pieces: string[];
  hasHead: boolean;
}

const chosen = <T>(...values: T[]) => fc.constantFrom(...values);
const weighted = <T>(...weights: [number, fc.Arbitrary<T>][]) => fc.oneof(...weights.map(([weight, arbitrary]) => ({ weight, arbitrary })));

const anyByte = fc.nat(255).map((byte) => String.fromCharCode(byte));
const bytes = (maxLength: number) => fc.string({ unit: anyByte, maxLength });
const encodedByte = fc.nat(255).map((value) => `%${value.toString(16).padStart(2, '0')}`);
const plain = fc.stringMatching(/^[a-z0-9._~:@-]{1,8}$/);
const nasty = chosen(
  ...['%2F', '%2f', '%252F', '%5c', '%00', '%0d%0a', '%', '%z', '%u0041', '%c0%ae', '%ed%a0%80', '%ff', '%F0%9F%98%80', '%24nodes'],
  ...['.', '..', '%2e%2e', '/', '//', '/./', '/../', ';', ',', '+', '*', '#', '&', '=', '[]', '[x]', '$nodes', '__proto__', 'constructor'],
);
const part = weighted([5, plain], [3, nasty], [1, encodedByte]);
const text = fc.string({ unit: part, maxLength: 6 });

const name = weighted(
  [9, chosen('id', 'id', 'format', 'since', 'token', 'type', 'scope', 'id[]', 'scope[a]', 'data', '__proto__', 'toString', '')],
  [3, chosen('mode', 'last', 'limit', 'wait', 'marks')],
);
const value = weighted(
  [4, plain],
  [2, chosen('sse', 'ndjson', 'text', 'earliest', 'latest', 'worker', 'service', 'cluster', 'abc-1', 'abc-9999999999999999/a', '-1')],
  [1, chosen('once', 'once', '1', '1000', '-20', '-1001', '2026-01-31T08:00:00Z', '2026-02-30T08:00:00Z')],
  [3, text],
);
const query = weighted(
  [5, fc.constant('')],
  [6, fc.array(fc.tuple(name, value), { maxLength: 4 }).map((pairs) => `?${pairs.map((pair) => pair.join('=')).join('&')}`)],
  [1, text.map((junk) => `?${junk}`)],
  [
    1,
    fc.tuple(chosen('&', 'id=a&', '=', '%', ';', 'token=&', '?'), fc.integer({ min: 100, max: 5000 })).map(([s, n]) => `?${s.repeat(n)}`),
  ],
);
const path = weighted(
  [6, fc.array(plain, { minLength: 1, maxLength: 4 }).map((segments) => `/test/${segments.join('/')}`)],
  [4, text.map((id) => `/test/${id}`)],
  [3, fc.constant('/test')],
  [4, chosen('/health', '/health/', '/health/live', '/health/ready', '/health/connections', '/metrics', '/Health', '/TEST/a')],
  [
    2,
    chosen(
      '/dashboard',
      '/dashboard/',
      '/dashboard/now',
      '/dashboard/feed',
      '/dashboard/key',
      '/dashboard/files/app.js',
      '/docs',
      '/docs-json',
    ),
  ],
  [2, fc.tuple(chosen('/dashboard/files/', '/docs/', '/health/', '/'), text).map((parts) => parts.join(''))],
  [
    1,
    fc
      .tuple(
        chosen('/test/', '/', '/test/a/', '//', '/test/%'),
        fc.integer({ min: 100, max: 17_000 }),
        chosen('a', '/', '%41', '..', '//', '%'),
      )
      .map(([p, n, s]) => p + s.repeat(n / s.length)),
  ],
);
const target = weighted(
  [20, fc.tuple(path, query).map((parts) => parts.join(''))],
  [
    2,
    fc
      .tuple(chosen('http://', 'https://', 'HTTP://', 'ws://', 'http:'), chosen('', 'test', 'a@b', '[::1]:80', 'a:99999'), path, query)
      .map((parts) => parts.join('')),
  ],
  [1, chosen('*', 'test:443', '', '?', '#', '/', '\\test\\a', 'test/a')],
  [1, bytes(20)],
);

const method = weighted(
  [12, fc.constant('GET')],
  [10, fc.constant('POST')],
  [2, fc.constant('HEAD')],
  [3, chosen('OPTIONS', 'PUT', 'DELETE', 'PATCH', 'TRACE', 'CONNECT', 'PROPFIND', 'M-SEARCH', 'QUERY', 'PURGE', 'get', 'G\u0000T', 'PRI')],
);
const version = weighted(
  [30, fc.constant('HTTP/1.1')],
  [3, fc.constant('HTTP/1.0')],
  [1, chosen('HTTP/2.0', 'HTTP/0.9', 'http/1.1', 'HTTP/1.1 ', '')],
);

const types = [
  'application/json',
  'text/plain',
  'application/x-ndjson',
  'application/x-www-form-urlencoded',
  'multipart/form-data; boundary=x',
];
const contentType = fc
  .tuple(
    chosen(...types, ...types.slice(0, 2), 'application/json;', '', 'a', 'TEXT/PLAIN', '*/*', 'text/event-stream'),
    chosen('', '', '', '; charset=utf-8', ';charset=latin1', '; charset="utf-16"', '; charset=', ';q=a;;;', '; charset=utf-8; charset=x'),
  )
  .map((parts) => `Content-Type: ${parts.join('')}`);
const position = weighted(
  [3, chosen('', '0', 'a-1', 'abc-99999999999999999999', 'abc-1/a', '*', '%0a', 'null', 'a-1/../b')],
  [2, bytes(12)],
);
const media = weighted(
  [
    3,
    chosen(
      'text/event-stream',
      'application/x-ndjson',
      'text/plain;q=0',
      '*/*',
      'text/*;q=0.5',
      'a/b',
      ';',
      ',',
      '"',
      'text/plain;a="',
      'q=9',
    ),
  ],
  [1, bytes(8)],
);
const authorization = weighted(
  [4, fc.constant(`Bearer ${publishKey}`)],
  [2, chosen('Bearer', 'Bearer ', 'bearer  x', 'Basic Og==', 'Bearer a.b.c', 'Bearer eyJhbGciOiJub25lIn0.e30.', 'Digest a="')],
  [1, bytes(16)],
);
const field = weighted(
  [4, authorization.map((junk) => `Authorization: ${junk}`)],
  [4, contentType],
  [2, position.map((id) => `Last-Event-ID: ${id}`)],
  [2, fc.array(media, { maxLength: 4 }).map((all) => `Accept: ${all.join(',')}`)],
  [1, chosen('Expect: 100-continue', 'Expect: 200-ok', 'Expect:')],
  [
    1,
    chosen(
      'Upgrade: websocket\r\nConnection: Upgrade',
      'Connection: Upgrade',
      'Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA',
    ),
  ],
  [
    2,
    chosen(
      'Connection: close',
      'Connection: keep-alive',
      'Connection: ',
      'Connection: x',
      'Keep-Alive: timeout=0',
      'Proxy-Connection: close',
    ),
  ],
  [
    1,
    chosen(
      'Content-Encoding: gzip',
      'Content-Encoding: identity',
      'Content-Encoding: x',
      'Accept-Encoding: gzip',
      'TE: trailers',
      'Trailer: x',
      'Range: bytes=0-1',
    ),
  ],
  [1, fc.tuple(chosen('feed_token', 'a', '__proto__', ''), bytes(8)).map(([cookie, junk]) => `Cookie: ${cookie}=${junk}; ${cookie}; =;;`)],
  [
    1,
    chosen(
      'X-Forwarded-For: 1.2.3.4, x',
      'X-Forwarded-For: ',
      'Forwarded: for="[::1',
      `X-Feed-Key: ${publishKey}`,
      'Origin: null',
      'Origin: http://x',
      'Sec-Fetch-Site: cross-site',
    ),
  ],
  [1, fc.tuple(fc.stringMatching(/^[A-Za-z-]{1,10}$/), bytes(10)).map((parts) => parts.join(': '))],
  [
    1,
    fc
      .tuple(
        chosen('Accept', 'X-Long', 'Cookie', 'Last-Event-ID', 'Authorization', 'Content-Type', 'X-Forwarded-For'),
        chosen(',', '"', ';', ' ', '=', 'a,', '";', ',"', 'a;q=1,', '\t'),
        fc.integer({ min: 10, max: 15_000 }),
      )
      .map(([n, s, times]) => `${n}: x${s.repeat(times / s.length)}`),
  ],
);

const deep = fc
  .tuple(chosen('[', '{"a":', '[[', '{"feeds":['), fc.integer({ min: 1, max: 30_000 }))
  .map(([open, depth]) => open.repeat(depth / open.length));
const deepClosed = fc.integer({ min: 1, max: 30_000 }).map((depth) => '['.repeat(depth) + ']'.repeat(depth));
const utf8 = (value: string) => Buffer.from(value).toString('latin1');
const published = fc.record(
  {
    feeds: weighted([3, fc.array(plain, { maxLength: 3 })], [1, fc.array(text, { maxLength: 3 })], [1, fc.jsonValue()]),
    type: weighted([2, plain], [1, fc.jsonValue()]),
    data: fc.jsonValue(),
  },
  { requiredKeys: [] },
);
const body = weighted(
  [3, fc.string({ unit: 'binary', maxLength: 30 }).map(utf8)],
  [3, published.map((message) => utf8(JSON.stringify(message)))],
  [2, fc.json().map(utf8)],
  [
    2,
    chosen(
      '',
      '{}',
      'null',
      '{"__proto__":{"feeds":["a"]},"data":1}',
      '{"constructor":{"prototype":1}}',
      '{"feeds":["a"],"feeds":["b"],"data":1}',
      '1e999',
      '"\\ud800"',
      '\xef\xbb\xbf{}',
      '{"data":1}\n{"data":2}\n',
      'a=b&c[d]=e&__proto__[x]=1',
      'a\rb',
    ),
  ],
  [2, bytes(30)],
  [1, deep],
  [1, deepClosed],
  [1, fc.integer({ min: 1000, max: 200_000 }).map((length) => 'x'.repeat(length))],
);

/** How a body is framed, rightly or wrongly. */
const framing = weighted<(content: string) => string>(
  [12, fc.constant((content) => `Content-Length: ${content.length}\r\n\r\n${content}`)],
  [
    4,
    fc.constant((content) => `Transfer-Encoding: chunked\r\n\r\n${content && `${content.length.toString(16)}\r\n${content}\r\n`}0\r\n\r\n`),
  ],
  [2, fc.integer({ min: -3, max: 3 }).map((more) => (content) => `Content-Length: ${content.length + more}\r\n\r\n${content}`)],
  [
    1,
    chosen('-1', '1e3', '0x1', '99999999999999999999', ' ', '1, 1', '+1').map(
      (length) => (content) => `Content-Length: ${length}\r\n\r\n${content}`,
    ),
  ],
  [1, fc.constant((content) => `Content-Length: ${content.length}\r\nTransfer-Encoding: chunked\r\n\r\n${content}`)],
  [
    1,
    chosen('xchunked', 'gzip, chunked', 'chunked, chunked', 'identity').map(
      (coding) => (content) => `Transfer-Encoding: ${coding}\r\n\r\n${content}`,
    ),
  ],
  [
    1,
    chosen('1\r\nab\r\n', 'z\r\n', '5;x="y\r\nabcde\r\n', 'ffffffffffffffff1\r\n', '0\r\nX: y\r\n\r\n', '-1\r\n').map(
      (chunk) => () => `Transfer-Encoding: chunked\r\n\r\n${chunk}`,
    ),
  ],
);

const request = fc
  .record({
    line: fc.tuple(method, target, version),
    host: weighted([20, fc.constant('Host: test\r\n')], [1, chosen('', 'Host: \r\n', 'Host: a\r\nHost: b\r\n', 'Host: [::1\r\n')]),
    fields: fc.array(field, { maxLength: 4 }),
    body: fc.option(fc.tuple(framing, body), { freq: 2 }),
  })
  .map(({ line, host, fields, body }) => {
    const isBare = body === null || (line[0] !== 'POST' && fields.length % 2 === 0);
    return `${line.join(' ')}\r\n${host}${fields.map((each) => `${each}\r\n`).join('')}${isBare ? '\r\n' : body[0](body[1])}`;
  });

/** One that any server answers, and closes behind. */
const last = 'GET /health/live HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n';

const requests = weighted(
  [10, request.map((one) => [one])],
  [3, fc.array(request, { minLength: 2, maxLength: 5 })],
  [1, fc.tuple(request, fc.nat(400)).map(([one, length]) => [one.slice(0, length)])],
  [1, bytes(60).map((junk) => [junk])],
);

/** What one client sends. */
export const conversation: fc.Arbitrary<Conversation> = fc
  .tuple(requests, fc.array(fc.nat(2000), { maxLength: 6 }), fc.nat(9))
  .map(([all, cuts, end]) => {
    // Behind another request, Node's server itself writes `100 Continue` between the head and the body of the answer.
    const [first, ...more] = all;
    const whole = first + more.join('').replaceAll('Expect: 100', 'Expect: 1') + (end > 0 ? last : '');
    const edges = [...new Set([0, ...cuts.map((cut) => cut % (whole.length + 1)), whole.length])].sort((a, b) => a - b);
    return { pieces: edges.slice(1).map((to, n) => whole.slice(edges[n], to)), hasHead: whole.includes('HEAD') };
  });
