import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import fc from 'fast-check';
import { FeedRequest } from '../http/feed-request.js';
import { credentialOf, withoutToken } from './credentials.js';

const find = (headers: IncomingHttpHeaders, target = '/feeds/1') =>
  credentialOf(FeedRequest.of({ headers, url: target } as IncomingMessage), { tokenCookie: 'feed_token' });
const cookie = (header: string) => find({ cookie: header })?.token;

describe('credentialOf', () => {
  it('looks into the header, then the cookie, then the query', () => {
    const all = { authorization: 'Bearer h', cookie: 'feed_token=c' };
    expect(find(all, '/?token=q')).toEqual({ token: 'h', from: 'header' });
    expect(find({ cookie: all.cookie }, '/?token=q')).toEqual({ token: 'c', from: 'cookie' });
    expect(find({}, '/?token=q')).toEqual({ token: 'q', from: 'query' });
    expect(find({}, '/')).toBeUndefined();
  });

  it('takes a ticket where they are issued, from the URL of a GET, before a cookie', () => {
    const of = (method: string, target: string, headers: IncomingHttpHeaders = {}, tickets = true) =>
      credentialOf(FeedRequest.of({ method, headers, url: target } as IncomingMessage), { tokenCookie: 'c', tokenInQuery: false, tickets });
    const ticket = { token: 't', from: 'ticket' };
    expect(of('GET', '/?ticket=t', { cookie: 'c=1' })).toEqual(ticket);
    expect(of('HEAD', '/?ticket=t&token=x')).toEqual(ticket);
    expect(of('GET', '/?ticket=t', { authorization: 'Bearer h' })).toEqual({ token: 'h', from: 'header' });
    expect([of('POST', '/?ticket=t'), of('GET', '/?ticket='), of('GET', '/?ticket=t', {}, false), of('GET', '/?token=t')]).toEqual([
      ...Array(4),
    ]);
  });

  it.each(['bearer t', 'BEARER t', 'Bearer   t'])('knows the scheme in %j', (authorization) => {
    expect(find({ authorization })).toEqual({ token: 't', from: 'header' });
  });

  it.each(['Basic dXNlcjpw', 'Bearert', 'Bearer', 'Digest Bearer t', ''])('leaves %j to others', (authorization) => {
    expect(find({ authorization })).toBeUndefined();
    expect(find({ authorization, cookie: 'feed_token=c' })).toEqual({ token: 'c', from: 'cookie' });
    expect(find({ authorization }, '/?token=q')).toEqual({ token: 'q', from: 'query' });
  });

  it.each([
    ['feed_token=t', 't'],
    ['a=1; feed_token=t; b=2', 't'],
    ['a=1;feed_token=t', 't'],
    [' feed_token = t ', 't'],
    ['feed_token="t"', 't'],
    ['feed_token=a.b-c_d%3D%20', 'a.b-c_d= '],
    ['feed_token=%zz', '%zz'],
    ['feed_token=a=b==', 'a=b=='],
    ['feed_token=1; feed_token=2', '1'],
  ])('reads the cookie %j', (header, token) => {
    expect(cookie(header)).toBe(token);
  });

  it.each([
    '',
    ';;',
    'feed_token',
    'feed_token=',
    'feed_token=""',
    'xfeed_token=t',
    'feed_token2=t',
    '__Host-feed_token=t',
    'Feed_Token=t',
    'feed%5Ftoken=t',
    'a=feed_token=t',
    'a="; b"; c=feed_token',
  ])('finds nothing in the cookies %j', (header) => {
    expect(cookie(header)).toBeUndefined();
  });

  it('reads headers of nothing but spaces', () => {
    const spaces = ' '.repeat(100_000);
    expect(find({ authorization: `Basic${spaces}`, cookie: `feed_token=x;${spaces}` })).toEqual({ token: 'x', from: 'cookie' });
  });
});

describe('withoutToken', () => {
  const piece = fc.oneof(
    fc.constantFrom('token', '%74oken', 'ticket', 'tick%65t', '=', '&', '?', '+', '%', '/', 't'),
    fc.string({ maxLength: 3 }),
  );
  const target = fc.array(piece).map((pieces) => `/${pieces.join('')}`);

  it('leaves no token, and nothing else away', () => {
    fc.assert(
      fc.property(target, (before) => {
        const after = withoutToken(before);
        expect(find({}, after)).toBeUndefined();
        const [path, ...query] = before.split('?');
        const expected = new URLSearchParams(`?${query.join('?')}`);
        const found = expected.has('token') || expected.has('ticket');
        for (const name of ['token', 'ticket']) expected.delete(name);
        const [pathAfter, ...queryAfter] = after.split('?');
        expect(pathAfter).toBe(path);
        expect([...new URLSearchParams(`?${queryAfter.join('?')}`)]).toEqual([...expected]);
        if (!found) expect(after).toBe(before);
      }),
      { numRuns: 2000 },
    );
  });

  it('takes out what was put in, byte for byte', () => {
    const parameter = fc.stringMatching(/^[a-su-z%+=;\d-]*$/);
    fc.assert(
      fc.property(fc.array(parameter), fc.array(parameter, { minLength: 1 }), fc.stringMatching(/^[\w.-]*$/), (before, after, token) => {
        const rest = `/a?${[...before, ...after].join('&')}`;
        expect(withoutToken(`/a?${[...before, `token=${token}`, ...after].join('&')}`)).toBe(rest);
      }),
    );
  });
});
