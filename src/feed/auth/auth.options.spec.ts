import * as v from 'valibot';
import { FeedOptionsError } from '../errors/feed-options.error.js';
import { checkOptions } from '../errors/option-rules.js';
import { type AuthOptions, authOptionRules, isWeakSecret, resolveAuthOptions } from './auth.options.js';

const schema = v.partial(v.object(authOptionRules));

describe('authOptionRules', () => {
  it.each<AuthOptions>([
    {},
    { publishKey: '!~azAZ09-._+/=' },
    { jwtSecret: ' ' },
    { jwksUrl: 'https://id.example/.well-known/jwks.json?tenant=1' },
    { jwksUrl: 'http://127.0.0.1:8081/' },
    { jwtIssuer: 'https://id.example/', jwtAudience: 'feeds' },
    { tokenCookie: '__Host-feed_token' },
  ])('take %j', (options) => {
    expect(v.parse(schema, options)).toEqual(options);
  });

  it.each([
    { publishKey: '' },
    { publishKey: 'two words' },
    { publishKey: 'line\n' },
    { publishKey: 'schlüssel' },
    { publishKey: 1 },
    { jwtSecret: '' },
    { jwtSecret: Buffer.from('secret') },
    { jwksUrl: 'id.example/jwks.json' },
    { jwksUrl: 'file:///etc/jwks.json' },
    { jwksUrl: 'https://user:password@id.example/' },
    { jwtIssuer: '' },
    { jwtAudience: ['feeds'] },
    { tokenCookie: '' },
    { tokenCookie: 'a b' },
    { tokenCookie: 'a=b' },
  ])('refuse %j', (options) => {
    expect(v.safeParse(schema, options).issues?.[0].message).toMatch(/^must be /);
  });

  it('keep what is nearly a key out of the error', () => {
    expect(() => checkOptions('FeedModule', schema.entries, { publishKey: 'hush hush' })).toThrow(
      /"publishKey" must be one or more visible ASCII characters without spaces, not what was given$/,
    );
  });
});

describe('resolveAuthOptions', () => {
  it('fills in the default', () => {
    expect(resolveAuthOptions({})).toMatchObject({ public: false, tokenCookie: 'feed_token' });
    expect(resolveAuthOptions({ tokenCookie: undefined })).toMatchObject({ tokenCookie: 'feed_token' });
    const options = { public: true, publishKey: 'k', jwtSecret: 's', jwtIssuer: 'i', jwtAudience: 'a', tokenCookie: 'c' };
    expect(resolveAuthOptions(options)).toEqual(options);
    expect(resolveAuthOptions({ jwksUrl: 'https://id.example/' })).toMatchObject({ jwksUrl: 'https://id.example/' });
  });

  it.each<[AuthOptions, string, RegExp]>([
    [{ jwtSecret: 's', jwksUrl: 'https://id.example/' }, 'jwksUrl', /give one of the two/],
    [{ jwtIssuer: 'https://id.example/' }, 'jwtIssuer', /"jwtIssuer" needs "jwtSecret" or "jwksUrl"/],
    [{ publishKey: 'k', jwtAudience: 'feeds' }, 'jwtAudience', /"jwtAudience" needs "jwtSecret" or "jwksUrl"/],
  ])('refuses %j', (options, option, message) => {
    expect(() => resolveAuthOptions(options)).toThrow(expect.objectContaining({ option, message: expect.stringMatching(message) }));
    expect(() => resolveAuthOptions(options)).toThrow(FeedOptionsError);
  });
});

describe('isWeakSecret', () => {
  it('counts bytes', () => {
    expect(isWeakSecret('x'.repeat(31))).toBe(true);
    expect(isWeakSecret('x'.repeat(32))).toBe(false);
    expect(isWeakSecret('ü'.repeat(16))).toBe(false);
  });
});
