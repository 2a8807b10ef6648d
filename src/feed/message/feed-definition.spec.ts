import { readFileSync } from 'node:fs';
import { transformSync } from '@swc/core';
import * as v from 'valibot';
import { defineFeed, type FeedMessageOf } from './feed-definition.js';

const schema = v.object({ price: v.number() });

describe('defineFeed()', () => {
  const prices = defineFeed('prices/:symbol', { price: schema, halt: v.string() });
  const news = defineFeed('news', { message: v.pipe(v.string(), v.transform(Number)) });
  const legs = defineFeed('trips/:trip/legs/:leg', { message: schema });

  it('names a feed by the values of its parameters', () => {
    expect(prices({ symbol: 'abc' })).toEqual({ id: 'prices/abc', definition: prices });
    expect(legs({ trip: 7, leg: 'a:b' }).id).toBe('trips/7/legs/a:b');
    expect(news().id).toBe('news');
    expect([prices.pattern, Object.keys(prices.messages)]).toEqual(['prices/:symbol', ['price', 'halt']]);
  });

  it.each(['', 'a/b', '.', '..', 'a b', 'ä', 'a%2Fb', null, undefined, {}])(
    'rejects a value that would make another feed of it: %p',
    (symbol) => {
      const name = () => prices({ symbol: symbol as string });
      expect(name).toThrow(TypeError);
      expect(name).toThrow(expect.objectContaining({ code: 'FEED_ID' }));
      expect(name).toThrow(`prices/:symbol needs a :symbol of A-Z a-z 0-9 . _ ~ : @ -, not "${symbol ?? ''}"`);
    },
  );

  it.each(['', '/', 'a/', '/a', 'a//b', 'a/..', 'a b', 'orders/*', ':', 'a/:', 'a/:1', 'a/:b-c', '$nodes'])(
    'rejects the pattern %p',
    (pattern) => {
      const define = () => defineFeed(pattern, { message: schema });
      expect(define).toThrow(TypeError);
      expect(define).toThrow(`"${pattern}" is no feed id, with :name segments or without`);
    },
  );

  it('is small and needs nothing, so that a browser may have it', () => {
    // In a bundle, what a module exports to another has a short name as well.
    const source = readFileSync('src/feed/message/feed-definition.ts', 'utf8').replaceAll('export const', 'const');
    const { code } = transformSync(source, {
      jsc: { target: 'es2022', parser: { syntax: 'typescript' }, minify: { compress: true, mangle: { toplevel: true } } },
      module: { type: 'es6' },
      minify: true,
    });
    expect(code).not.toContain('import');
    expect(code.length).toBeLessThanOrEqual(500);
  });

  it('types the parameters and the messages', () => {
    const never = () => {
      // @ts-expect-error The parameter is missing.
      prices();
      // @ts-expect-error The parameter has another name.
      prices({ name: 'abc' });
      // @ts-expect-error One of the parameters is missing.
      legs({ trip: 1 });
      // @ts-expect-error A feed without parameters has no values.
      news({ symbol: 'abc' });
      // @ts-expect-error A message is described by a schema.
      defineFeed('a', { price: Number });
    };
    const read = (message: FeedMessageOf<typeof prices>): number | string => {
      if (message.type === 'price') return message.data.price;
      const halt: 'halt' = message.type;
      // @ts-expect-error This message has no price.
      void message.data.price;
      return `${halt} ${message.data.toUpperCase()}`;
    };
    const untyped: FeedMessageOf<ReturnType<typeof news>> = { id: '1', feed: 'news', type: undefined, data: 1 };
    expect([typeof never, untyped.data.toFixed(1)]).toEqual(['function', '1.0']);
    expect(read({ id: '1', feed: 'prices/abc', type: 'halt', data: 'now' })).toBe('halt NOW');
  });
});
