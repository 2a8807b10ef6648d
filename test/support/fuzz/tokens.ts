import { createHmac } from 'node:crypto';
import fc from 'fast-check';
import { now } from '../tokens.js';

const base64 = (text: string) => Buffer.from(text).toString('base64url');
const json = fc.jsonValue({ maxDepth: 2 });
const odd = fc.oneof(json, fc.constantFrom('__proto__', -1, 1e300, 2 ** 53, '', null, [], {}, [[]], 'HS256', 'none'));

const header = fc.record(
  {
    alg: fc.oneof(
      { weight: 12, arbitrary: fc.constant('HS256') },
      { weight: 3, arbitrary: fc.constantFrom('none', 'None', 'HS384', 'RS256', 'hs256', '') },
      { weight: 1, arbitrary: odd },
    ),
    typ: fc.constantFrom('JWT', 'at+jwt', '', 1),
    kid: odd,
    crit: fc.oneof(odd, fc.constantFrom(['exp'], ['b64'])),
    b64: fc.boolean(),
    jwk: odd,
    jku: fc.constant('http://127.0.0.1:1/'),
  },
  { requiredKeys: ['alg'] },
);
const pattern = fc.oneof(fc.constantFrom('a', '*', 'a*', '**', 'b', 'a/*', '', '.*', '[a]', '__proto__'), fc.string({ maxLength: 8 }), odd);
const patterns = fc.oneof(pattern, fc.array(pattern, { maxLength: 4 }), fc.constant(Array.from({ length: 1000 }, () => 'x*')));
const time = fc.oneof(fc.constantFrom(0, now() + 1000, now() - 1000, now() + 0.5, -1, 1e300, 8.64e15, 1e308, '1', null), odd);
const claims = fc.record(
  {
    feeds: patterns,
    publish: patterns,
    exp: time,
    nbf: time,
    iat: time,
    aud: fc.oneof(odd, fc.array(odd)),
    iss: odd,
    sub: fc.oneof(odd, fc.constantFrom('x'.repeat(3000), 'a\r\nb', '\ud800')),
    jti: odd,
    __proto__: odd,
    constructor: odd,
  },
  { requiredKeys: [] },
);

/** A token, and whether its signature is right. */
export interface Token {
  token: string;
  isSigned: boolean;
}

export const tokens = (secret: string): fc.Arbitrary<Token> => {
  const sign = (signed: string) => createHmac('sha256', secret).update(signed).digest('base64url');
  const right = fc
    .tuple(
      header,
      fc.oneof(
        { weight: 8, arbitrary: claims.map((all) => JSON.stringify(all)) },
        { weight: 1, arbitrary: fc.json() },
        { weight: 1, arbitrary: fc.string() },
      ),
    )
    .map(([head, body]) => {
      const signed = `${base64(JSON.stringify(head))}.${base64(body)}`;
      return { token: `${signed}.${sign(signed)}`, isSigned: true };
    });
  const changed = fc
    .tuple(right, fc.nat(), fc.oneof(fc.constantFrom('', '.', '=', ' ', '%', '\t', 'A', '+/', '..'), fc.string({ maxLength: 3 })))
    .map(([{ token }, at, put]) => {
      const cut = at % token.length;
      const other = token.slice(0, cut) + put + token.slice(cut + 1);
      return { token: other, isSigned: other === token };
    });
  const junk = fc
    .oneof(
      fc.string({ maxLength: 40 }),
      fc.constantFrom('.', '..', '...', 'a.b.c', 'e30.e30.', 'eyJhbGciOiJub25lIn0.e30.', 'null.null.null', 'eyJhbGciOiJIUzI1NiJ9..'),
      fc.integer({ min: 100, max: 12_000 }).map((length) => 'A.'.repeat(length / 2)),
      fc.integer({ min: 1, max: 8_000 }).map((depth) => `eyJhbGciOiJIUzI1NiJ9.${base64('['.repeat(depth))}.x`),
    )
    .map((token) => ({ token, isSigned: false }));
  return fc.oneof({ weight: 5, arbitrary: right }, { weight: 3, arbitrary: changed }, { weight: 2, arbitrary: junk });
};

/** Characters that may stand in a field, so that the token arrives. */
export const inField = (token: string) => token.replace(/[^\x20-\x7e]/g, '?');
