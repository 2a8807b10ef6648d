import fc from 'fast-check';
import * as v from 'valibot';
import { defineFeed, type FeedDescription } from '../message/feed-definition.js';
import { isFeedId } from '../message/feed-id.js';
import { Definitions } from './definitions.js';

const messages = { message: v.string() };
const character = fc.constantFrom(...'ab1._~:@-/ %ä*$');
const text = fc.string({ unit: character, minLength: 0, maxLength: 6 });

describe('Definitions', () => {
  it('finds the definition of each feed that a definition names, which is a feed that can be published to', () => {
    const legs = defineFeed('trips/:trip/legs/:leg', messages);
    const definitions = new Definitions([defineFeed('trips/:trip', messages), legs, defineFeed('trips', messages)]);
    fc.assert(
      fc.property(text, text, (trip, leg) => {
        const isSegment = [trip, leg].every((value) => isFeedId(value) && !value.includes('/'));
        if (!isSegment) return expect(() => legs({ trip, leg })).toThrow(TypeError);
        const { id } = legs({ trip, leg });
        expect([id, isFeedId(id), definitions.of(id)]).toEqual([`trips/${trip}/legs/${leg}`, true, legs]);
      }),
    );
  });

  it('takes for a pattern what is a feed id with its parameters filled in', () => {
    fc.assert(
      fc.property(text, (pattern) => {
        const filled = pattern.replace(/(?<=^|\/):[a-z_]\w*(?=\/|$)/gi, 'x');
        const isPattern = isFeedId(filled) && !/(^|\/):/.test(filled);
        if (!isPattern) return expect(() => defineFeed(pattern, messages)).toThrow(TypeError);
        const definition = defineFeed(pattern, messages);
        expect(new Definitions([definition]).of(filled)).toBe(definition);
      }),
      { numRuns: 2000 },
    );
  });

  it('prefers the definition whose first different segment is no parameter, in whichever order they are given', () => {
    const patterns = ['a/:x/:y', 'a/:x/c', 'a/b/:y', 'a/b/c', ':x/b/c', ':x', 'a'];
    const expected = { 'a/b/c': 'a/b/c', 'a/b/d': 'a/b/:y', 'a/d/c': 'a/:x/c', 'a/d/d': 'a/:x/:y', 'd/b/c': ':x/b/c', a: 'a', d: ':x' };
    fc.assert(
      fc.property(fc.shuffledSubarray(patterns, { minLength: patterns.length }), (given) => {
        const definitions = new Definitions(given.map((pattern): FeedDescription => defineFeed(pattern, messages)));
        for (const [feed, pattern] of Object.entries(expected)) expect([feed, definitions.of(feed)?.pattern]).toEqual([feed, pattern]);
        for (const feed of ['d/b', 'd/b/d', 'a/b/c/d']) expect([feed, definitions.of(feed)]).toEqual([feed, undefined]);
      }),
    );
  });

  it('takes the dot of a pattern for a dot', () => {
    const definitions = new Definitions([defineFeed('v1.2/:x', messages)]);
    expect([definitions.of('v1.2/a')?.pattern, definitions.of('v1x2/a')]).toEqual(['v1.2/:x', undefined]);
  });
});
