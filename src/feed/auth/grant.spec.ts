import { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import fc from 'fast-check';
import { FeedForbiddenException } from '../errors/access.errors.js';
import { Grant } from './grant.js';
import { assertMayPublish, assertMayRead, grant, grantOf } from './request-grant.js';

const id = fc.stringMatching(/^[A-Za-z0-9._~:@*-]+(\/[A-Za-z0-9._~:@*-]+)*$/);
const exactly = id.filter((pattern) => !pattern.endsWith('*'));

describe('Grant', () => {
  it.each<[unknown, string, boolean]>([
    ['orders/1', 'orders/1', true],
    ['orders/1', 'orders/10', false],
    ['orders/1', 'Orders/1', false],
    ['orders/*', 'orders/1', true],
    ['orders/*', 'orders/1/lines', true],
    ['orders/*', 'orders/', true],
    ['orders/*', 'orders', false],
    ['orders/*', 'my/orders/1', false],
    ['*', 'anything', true],
    ['*/1', 'orders/1', false],
    ['*/1', '*/1', true],
    ['a*b*', 'a*bc', true],
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
    expect(Grant.from({ feeds: claim }).mayRead(feed)).toBe(allowed);
    expect(Grant.from({ publish: claim }).mayPublish(feed)).toBe(allowed);
  });

  it('keeps reading and publishing apart', () => {
    fc.assert(
      fc.property(id, (feed) => {
        expect(Grant.from({ feeds: '*' }).mayPublish(feed)).toBe(false);
        expect(Grant.from({ publish: '*' }).mayRead(feed)).toBe(false);
        expect(Grant.everything.mayRead(feed) && Grant.everything.mayPublish(feed)).toBe(true);
      }),
    );
  });

  it('takes a pattern without a star at its end for one id', () => {
    fc.assert(fc.property(exactly, id, (pattern, feed) => expect(Grant.from({ feeds: pattern }).mayRead(feed)).toBe(pattern === feed)));
    fc.assert(fc.property(exactly, (feed) => expect(Grant.from({ feeds: feed }).mayRead(feed)).toBe(true)));
  });

  it('takes one with a star at its end for all ids that begin so', () => {
    fc.assert(fc.property(id, fc.string(), (start, rest) => expect(Grant.from({ feeds: `${start}*` }).mayRead(start + rest)).toBe(true)));
    fc.assert(fc.property(id, id, (start, feed) => expect(Grant.from({ feeds: `${start}*` }).mayRead(feed)).toBe(feed.startsWith(start))));
  });

  it('grants with several patterns what each of them grants', () => {
    const pattern = fc.tuple(id, fc.constantFrom('', '*')).map((parts) => parts.join(''));
    fc.assert(
      fc.property(fc.array(pattern), id, (patterns, feed) => {
        const each = patterns.some((one) => Grant.from({ feeds: one }).mayRead(feed));
        expect(Grant.from({ feeds: patterns }).mayRead(feed)).toBe(each);
      }),
    );
  });

  it('knows whose it is and when it ends', () => {
    expect(Grant.from({ sub: 'ada', exp: 1_900_000_000.5 })).toMatchObject({ subject: 'ada', expiresAt: 1_900_000_000_500 });
    expect(Grant.from({ sub: 1, exp: '1' })).toMatchObject({ subject: undefined, expiresAt: undefined });
    expect(Grant.everything).toMatchObject({ subject: undefined, expiresAt: undefined });
  });
});

describe('a request', () => {
  const request = () => new IncomingMessage(new Socket());

  it('may do everything where nothing was said', () => {
    const unguarded = request();
    expect(grantOf(unguarded)).toBeUndefined();
    expect(() => assertMayRead(unguarded, ['a'])).not.toThrow();
    expect(() => assertMayPublish(unguarded, ['a'])).not.toThrow();
  });

  it('may do what it was granted, for all of its ids', () => {
    const guarded = request();
    const granted = Grant.from({ feeds: ['a', 'b'], publish: 'c' });
    grant(guarded, granted);
    expect(grantOf({ raw: guarded })).toBe(granted);
    expect(() => assertMayRead({ raw: guarded }, ['a', 'b'])).not.toThrow();
    expect(() => assertMayRead(guarded, ['a', 'c'])).toThrow(FeedForbiddenException);
    expect(() => assertMayPublish(guarded, ['c'])).not.toThrow();
    expect(() => assertMayPublish(guarded, ['a'])).toThrow(FeedForbiddenException);
  });

  it('is refused in words that are the same for every id', () => {
    const guarded = request();
    grant(guarded, Grant.from({}));
    const refusal = (refused: () => void) => {
      try {
        refused();
      } catch (error) {
        return (error as FeedForbiddenException).getResponse();
      }
      throw new Error('was not refused');
    };
    const answer = refusal(() => assertMayRead(guarded, ['a']));
    expect(answer).toEqual({ statusCode: 403, error: 'Forbidden', code: 'FEED_FORBIDDEN', message: 'The token is not for reading this.' });
    expect(refusal(() => assertMayRead(guarded, ['b']))).toEqual(answer);
    expect(refusal(() => assertMayPublish(guarded, ['a']))).toMatchObject({ message: 'The token is not for publishing here.' });
  });
});
