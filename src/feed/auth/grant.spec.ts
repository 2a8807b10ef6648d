import fc from 'fast-check';
import { TokenGrant } from './grant.js';

const id = fc.stringMatching(/^[A-Za-z0-9._~:@*-]+(\/[A-Za-z0-9._~:@*-]+)*$/);
const exactly = id.filter((pattern) => !pattern.endsWith('*'));

describe('TokenGrant', () => {
  it.each<[unknown, string, boolean]>([
    ['orders/1', 'Orders/1', false],
    ['orders/*', 'orders/1/lines', true],
    ['orders/*', 'orders/', true],
    ['orders/*', 'orders', false],
    ['*/1', 'orders/1', false],
    ['a*b*', 'axbc', false],
    ['a.c', 'abc', false],
    ['', 'a', false],
    [['a', 'b*'], 'b1', true],
    [['a', 'b*'], 'c', false],
    [[['a']], 'a', false],
    [[], 'a', false],
    [[1, null, {}, true, '1'], '1', true],
    [[1, null, {}, true], '1', false],
    [{ 0: '*' }, 'a', false],
    [true, 'true', false],
    [null, 'null', false],
    [undefined, 'undefined', false],
  ])('with %j for %j: %j', (claim, feed, allowed) => {
    expect(TokenGrant.from({ feeds: claim }).mayRead(feed)).toBe(allowed);
    expect(TokenGrant.from({ publish: claim }).mayPublish(feed)).toBe(allowed);
  });

  it('takes a pattern without a star at its end for one id', () => {
    fc.assert(
      fc.property(exactly, id, (pattern, feed) => expect(TokenGrant.from({ feeds: pattern }).mayRead(feed)).toBe(pattern === feed)),
    );
    fc.assert(fc.property(exactly, (feed) => expect(TokenGrant.from({ feeds: feed }).mayRead(feed)).toBe(true)));
  });

  it('takes one with a star at its end for all ids that begin so', () => {
    fc.assert(
      fc.property(id, fc.string(), (start, rest) => expect(TokenGrant.from({ feeds: `${start}*` }).mayRead(start + rest)).toBe(true)),
    );
    fc.assert(
      fc.property(id, id, (start, feed) => expect(TokenGrant.from({ feeds: `${start}*` }).mayRead(feed)).toBe(feed.startsWith(start))),
    );
  });

  it('knows whose it is and when it ends', () => {
    expect(TokenGrant.from({ sub: 'ada', exp: 1_900_000_000.5 }).bearer).toMatchObject({ subject: 'ada', expiresAt: 1_900_000_000_500 });
    expect(TokenGrant.from({ sub: 1, exp: '1' }).bearer).toMatchObject({ subject: undefined, expiresAt: undefined });
    expect(TokenGrant.ofKey(1).bearer).toEqual({ key: 'publish:1' });
  });
});
