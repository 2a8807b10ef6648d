import { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import fc from 'fast-check';
import { FeedException } from '../errors/feed-exception.js';
import { FeedRequest } from '../http/feed-request.js';
import { checkMayPublish, checkMayRead, TokenGrant } from './grant.js';

const id = fc.stringMatching(/^[A-Za-z0-9._~:@*-]+(\/[A-Za-z0-9._~:@*-]+)*$/);
const exactly = id.filter((pattern) => !pattern.endsWith('*'));

describe('TokenGrant', () => {
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
    expect(TokenGrant.from({ feeds: claim }).mayRead(feed)).toBe(allowed);
    expect(TokenGrant.from({ publish: claim }).mayPublish(feed)).toBe(allowed);
  });

  it('keeps reading and publishing apart', () => {
    fc.assert(
      fc.property(id, (feed) => {
        expect(TokenGrant.from({ feeds: '*' }).mayPublish(feed)).toBe(false);
        expect(TokenGrant.from({ publish: '*' }).mayRead(feed)).toBe(false);
        expect(TokenGrant.everything.mayRead(feed) && TokenGrant.everything.mayPublish(feed)).toBe(true);
      }),
    );
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

  it('grants with several patterns what each of them grants', () => {
    const pattern = fc.tuple(id, fc.constantFrom('', '*')).map((parts) => parts.join(''));
    fc.assert(
      fc.property(fc.array(pattern), id, (patterns, feed) => {
        const each = patterns.some((one) => TokenGrant.from({ feeds: one }).mayRead(feed));
        expect(TokenGrant.from({ feeds: patterns }).mayRead(feed)).toBe(each);
      }),
    );
  });

  it('knows whose it is and when it ends', () => {
    expect(TokenGrant.from({ sub: 'ada', exp: 1_900_000_000.5 })).toMatchObject({ subject: 'ada', expiresAt: 1_900_000_000_500 });
    expect(TokenGrant.from({ sub: 1, exp: '1' })).toMatchObject({ subject: undefined, expiresAt: undefined });
    expect(TokenGrant.everything).toMatchObject({ subject: undefined, expiresAt: undefined });
  });
});

describe('a request', () => {
  const request = (grant?: TokenGrant) => Object.assign(FeedRequest.of(new IncomingMessage(new Socket())), { grant });
  const bodyOf = (check: () => void) => {
    try {
      check();
    } catch (error) {
      return (error as FeedException).getResponse();
    }
    throw new Error('was accepted');
  };

  it('may do everything where no guard has looked for a token', () => {
    expect(() => checkMayRead(request(), ['a'])).not.toThrow();
    expect(() => checkMayPublish(request(), ['a'])).not.toThrow();
  });

  it('may do what its token grants, for all of its feeds', () => {
    const guarded = request(TokenGrant.from({ feeds: ['a', 'b'], publish: 'c' }));
    expect(() => checkMayRead(guarded, ['a', 'b'])).not.toThrow();
    expect(() => checkMayRead(guarded, ['a', 'c'])).toThrow(FeedException);
    expect(() => checkMayPublish(guarded, ['c'])).not.toThrow();
    expect(() => checkMayPublish(guarded, ['a'])).toThrow(FeedException);
  });

  it('gets the same error for every feed, whether it exists or not', () => {
    const guarded = request(TokenGrant.from({}));
    const body = bodyOf(() => checkMayRead(guarded, ['a']));
    const message = 'The token does not grant reading this feed.';
    expect(body).toEqual({ statusCode: 403, error: 'Forbidden', code: 'FEED_FORBIDDEN', message });
    expect(bodyOf(() => checkMayRead(guarded, ['b']))).toEqual(body);
    expect(bodyOf(() => checkMayPublish(guarded, ['a']))).toMatchObject({ message: 'The token does not grant publishing to this feed.' });
  });
});
