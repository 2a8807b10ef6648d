import { FeedOptionsError } from './errors/feed-options.error.js';
import { type FeedOptions, resolveFeedOptions } from './feed.options.js';

const jwtSecret = 'a secret of thirty-two bytes, no less';

describe('resolveFeedOptions', () => {
  it.each<FeedOptions>([
    { public: true, tokenCookie: '__Host-feed_token', tokenInQuery: false },
    { trustedOrigins: ['https://app.example', 'http://localhost:3000', 'http://[::1]:8080', 'capacitor://localhost'] },
    { jwksUrl: 'https://id.example/.well-known/jwks.json?tenant=1' },
    { jwksUrl: 'http://127.0.0.1:8081/' },
    { maxConnectionsPerClient: 3, connectionRatePerClient: 60, publishRatePerClient: 60, publishRatePerKey: 6000 },
    {
      trustedProxies: ['loopback', 'private', 'unix', '10.0.0.7', '10.0.0.0/8', '0.0.0.0/0', '::1', '2001:DB8::/32', '::ffff:10.0.0.0/104'],
    },
  ])('takes %j', (options) => {
    expect(resolveFeedOptions(options)).toMatchObject(options);
  });

  it('takes one secret of each kind, or several', () => {
    const [one, other] = ['x'.repeat(32), 'ü'.repeat(16)] as const;
    const claims = { jwtIssuer: 'https://id.example/', jwtAudience: 'feeds' };
    expect(resolveFeedOptions({ publishKey: '!~azAZ09-._+/=', jwtSecret: one, ...claims })).toMatchObject({
      publishKeys: ['!~azAZ09-._+/='],
      jwtSecrets: [one],
      ticketSecrets: [],
      ...claims,
    });
    const several = { publishKey: ['a', 'b'], jwtSecret: [one, other] };
    expect(resolveFeedOptions(several, { tickets: true })).toMatchObject({
      publishKeys: ['a', 'b'],
      jwtSecrets: [one, other],
      ticketSecrets: [one, other],
    });
    const ticketSecret = [other];
    expect(resolveFeedOptions({ jwksUrl: 'http://a/', ticketSecret }, { tickets: 'own/path' })).toMatchObject({ ticketSecrets: [other] });
    expect(resolveFeedOptions({})).toMatchObject({ publishKeys: [], jwtSecrets: [], ticketSecrets: [] });
  });

  it('fills in the defaults, and takes 0 for no limit', () => {
    const limits = ['maxConnectionsPerClient', 'connectionRatePerClient', 'publishRatePerClient', 'publishRatePerKey'];
    const noLimits = Object.fromEntries(limits.map((limit) => [limit, Number.POSITIVE_INFINITY]));
    const defaults = { ...noLimits, public: false, tokenCookie: 'feed_token', trustedProxies: [] };
    expect(resolveFeedOptions({})).toMatchObject(defaults);
    expect(resolveFeedOptions({ tokenCookie: undefined, connectionRatePerClient: 0 })).toMatchObject(defaults);
  });

  const notProxies = [
    ...['', 'all', 'toString', 'proxy.example', '10.0.0', '10.0.0.1:80', '[::1]', '10.0.0.0/33', '::/129', '10.0.0.0/', '/8'],
    ...['10.0.0.0/8/8', '10.0.0.0/255.0.0.0', '10.0.0.0/-1', 'fe80::1%eth0', 'loopback/8', ' ::1', '10.0.0.1,10.0.0.2'],
  ];

  it.each<[string, unknown[]]>([
    ['publishKey', ['', 'two words', 'line\n', 'schlüssel', 1, [], ['a', ''], ['a', 1]]],
    ['jwtSecret', ['', 'x'.repeat(31), 'ü'.repeat(15), Buffer.alloc(32), [], ['x'.repeat(32), 'short']]],
    ['authorize', ['https://auth.example/', {}]],
    ['tokenInQuery', ['off']],
    [
      'trustedOrigins',
      [
        'https://app.example',
        ...[
          '*',
          'null',
          '',
          'app.example',
          'https://app.example/',
          'https://App.example',
          'https://app.example:443',
          'https://*.example',
        ].map((origin) => ['https://app.example', origin]),
        ...['https://user@app.example', 'https://app.example/path', 'https://app.example?', 'https://a b', 'https://a,https://b'].map(
          (origin) => [origin],
        ),
      ],
    ],
    ['jwksUrl', ['id.example/jwks.json', 'file:///etc/jwks.json', 'https://user:password@id.example/']],
    ['jwtIssuer', ['']],
    ['jwtAudience', [['feeds']]],
    ['tokenCookie', ['', 'a b', 'a=b']],
    ['maxConnectionsPerClient', [-1, 1.5]],
    ['connectionRatePerClient', ['60', Number.POSITIVE_INFINITY]],
    ['publishRatePerClient', [-1, 0.5]],
    ['publishRatePerKey', ['100', null]],
    ['trustedProxies', ['loopback', true, [1], ...notProxies.map((proxy) => ['loopback', proxy])]],
  ])('refuses for %s each of %j', (option, values) => {
    for (const value of values) expect(() => resolveFeedOptions({ [option]: value })).toThrow(new RegExp(`"${option}[.\\d]*" must be `));
  });

  it.each<[string, unknown[]]>([
    ['historyLength', [-1, 1.5, '10']],
    ['historyTtlMs', [0, 2 ** 31, '1s']],
    ['historyBytes', [-1, Number.POSITIVE_INFINITY]],
    ['keepNewest', ['yes', 1]],
    ['replay', ['latest', 0, -1, 1.5, 1001, true, null]],
    ['snapshot', [{}, 'rows']],
    ['conflate', ['true']],
    ['maxSubscribers', [0, 1.5]],
    ['publishPerSecond', [0, -1, 0.5]],
    ['read', ['everybody', true]],
  ])('refuses for %s of a rule each of %j', (option, values) => {
    for (const value of values) {
      const resolve = () => resolveFeedOptions({ rules: { 'a/*': { [option]: value } } });
      expect(resolve).toThrow(new RegExp(`^FeedModule's option "rules.a/\\*.${option}" must be `));
      expect(resolve).toThrow(expect.objectContaining({ option: `rules.a/*.${option}` }));
    }
  });

  it('takes every option of a rule, and finds the most specific rule', () => {
    const snapshot = () => 1;
    const all = {
      historyLength: 0,
      historyTtlMs: 1,
      historyBytes: 0,
      keepNewest: true,
      conflate: true,
      maxSubscribers: 1,
      publishPerSecond: 1,
    };
    const { rules } = resolveFeedOptions({
      publishKey: 'k',
      historyLength: 7,
      rules: {
        '*': {},
        'a/*': { ...all, snapshot, replay: 'none', read: 'token' },
        'a/b': { replay: 1000, historyBytes: 5 },
        'a/b*': { replay: 'all' },
      },
    });
    expect(rules.of('a/c')).toMatchObject({ ...all, snapshot });
    expect(['x', 'a/b', 'a/bc', 'a/c'].map((feed) => rules.startOf(feed))).toEqual(['end', { last: 1000 }, 'earliest', 'end']);
    expect(rules.retention?.of('a/b')).toEqual({ historyLength: 7, historyTtlMs: 300_000, historyBytes: 5, keepNewest: undefined });
    expect([rules.retention?.of('x'), rules.retention?.of('a/bc')]).toEqual([undefined, undefined]);
    // The module's own feeds have no rule.
    expect(resolveFeedOptions({ rules: { '*': { historyLength: 0 } } }).rules.retention?.of('$leases')).toBe(undefined);
    expect(resolveFeedOptions({ rules: { '*': { replay: 'all' } } }).rules.retention).toBe(undefined);
  });

  it.each<[FeedOptions, string, RegExp]>([
    [{ jwtSecret, jwksUrl: 'https://id.example/' }, 'jwksUrl', /by "jwtSecret" or by "jwksUrl": give one of the two/],
    [{ jwtSecret, authorize: () => true }, 'authorize', /by "jwtSecret" or by "authorize": give one of the two/],
    [{ ticketSecret: jwtSecret }, 'ticketSecret', /"ticketSecret" needs "tickets" too/],
    [{ jwtSecret: 'not for the log' }, 'jwtSecret', /must be 32 bytes or more \(RFC 7518 section 3.2; .*\), not what was given$/],
    [{ jwtIssuer: 'https://id.example/' }, 'jwtIssuer', /"jwtIssuer" needs "jwtSecret" or "jwksUrl"/],
    [{ publishKey: 'k', jwtAudience: 'feeds' }, 'jwtAudience', /"jwtAudience" needs "jwtSecret" or "jwksUrl"/],
    [{ rules: { a: { snapshot: () => 1, replay: 'all' } } }, 'rules.a.replay', /"rules.a" takes "snapshot" or "replay"/],
    [{ public: true, rules: { 'a/*': { read: 'token' } } }, 'rules.a/*.read', /needs "jwtSecret", "jwksUrl" or "publishKey" too/],
    [{ rules: { 'a b': {} } }, 'rules.a b', /must have patterns for names/],
    [
      { rules: { 'a/*': { history: 1 } as object } },
      'rules.a/*.history',
      /no option "rules.a\/\*.history": "rules.a\/\*" must be a rule.*keepNewest/,
    ],
    [{ compress: true as unknown as object }, 'compress', /"compress" must be \{ minBytes \}, or \{\} for its default, not true$/],
    [{ compress: { minBytes: 1.5 } }, 'compress.minBytes', /whole number of bytes, not 1.5$/],
    [{ compress: { minBytes: 65_536 } }, 'compress.minBytes', /65535 or fewer bytes/],
    [{ compress: { level: 1 } as object }, 'compress.level', /no option "compress.level": "compress" must be/],
    // What is nearly a key is not for the log.
    [{ publishKey: 'hush hush' }, 'publishKey', /without spaces, not what was given$/],
  ])('refuses %j', (options, option, message) => {
    expect(() => resolveFeedOptions(options)).toThrow(expect.objectContaining({ option, message: expect.stringMatching(message) }));
    expect(() => resolveFeedOptions(options)).toThrow(FeedOptionsError);
  });

  it.each<[FeedOptions, unknown, string, RegExp]>([
    [{ publishKey: 'k' }, true, 'tickets', /"tickets" needs "jwtSecret" or "ticketSecret"/],
    [{ jwtSecret }, '', 'tickets', /must be true, or the path/],
    [{ jwtSecret }, 1, 'tickets', /must be true, or the path/],
    [{ jwtSecret, idempotencyMs: 59_999 }, true, 'idempotencyMs', /"tickets" needs "idempotencyMs" of 60000 milliseconds or more/],
  ])('refuses %j with tickets: %j', (options, tickets, option, message) => {
    const resolve = () => resolveFeedOptions(options, { tickets: tickets as boolean });
    expect(resolve).toThrow(expect.objectContaining({ option, message: expect.stringMatching(message) }));
  });
});
