import { brokerFromUrl } from '../../src/service/broker-from-url.js';
import { ConfigError, readConfig } from '../../src/service/config.js';

describe('the settings of the service', () => {
  it.each([
    ['PORT', '70000', 'PORT must be a port: a whole number from 0 to 65535, not "70000"'],
    ['PORT', '80a', 'PORT must be a port: a whole number from 0 to 65535, not "80a"'],
    ['FEED_INTERVAL_MS', '-1', 'FEED_INTERVAL_MS must be a whole number of milliseconds, not "-1"'],
    ['FEED_INTERVAL_MS', '1e3', 'FEED_INTERVAL_MS must be a whole number of milliseconds, not "1e3"'],
    ['FEED_BUFFER_BYTES', '10', 'FEED_BUFFER_BYTES must be 1024 or more bytes, not "10"'],
    ['FEED_ADAPTER', 'koa', 'FEED_ADAPTER must be express or fastify, not "koa"'],
    ['FEED_PATH', 'a b', 'FEED_PATH must be a path: segments of A-Z a-z 0-9 . _ ~ - with / between them, not "a b"'],
    ['FEED_PATH', '/health/feeds', /^FEED_PATH must not begin with admin, health or metrics/],
    ['FEED_PATH', 'admin', /^FEED_PATH must not begin with admin/],
    ['FEED_ADMIN_KEYS', 'one,a secret', /^FEED_ADMIN_KEYS must be one or more visible ASCII characters without spaces/],
    ['FEED_ADMIN_KEY', 'a secret', /^FEED_ADMIN_KEY must be one or more visible ASCII characters without spaces$/],
    ['FEED_LAME_DUCK_MS', '20000', /^FEED_LAME_DUCK_MS is invalid: .*a part of the drain time: it must be 10000 \("drainMs"\) or fewer/],
    ['FEED_HISTORY_LENGTH', '-1', 'FEED_HISTORY_LENGTH must be a whole number of messages, not "-1"'],
    ['FEED_RULES', '{"a b":{}}', /^FEED_RULES is invalid: .*patterns.*a feed's id/],
    ['FEED_RULES', '{"a/*":{"replay":"latest"}}', /^FEED_RULES is invalid: .*"rules.a\/\*.replay" must be 'none', 'newest', 'all' or /],
    ['FEED_RULES', '{"a":{"snapshot":1}}', /^FEED_RULES is invalid: .*"rules.a.snapshot" must be a function/],
    ['FEED_RULES', '[]', 'FEED_RULES must be a JSON object, not "[]"'],
    ['FEED_RULES', '{"a":', /^FEED_RULES must be JSON: .*, not "{\\"a\\":"$/],
    ['FEED_JWKS_URL', 'ftp://x', /^FEED_JWKS_URL must be an http or https URL/],
    ['FEED_JWT_ISSUER', 'x', /^FEED_JWT_ISSUER is invalid: .*needs "jwtSecret" or "jwksUrl"/],
    ['FEED_PUBLISH_KEY', 'a b', /^FEED_PUBLISH_KEY must be one or more visible ASCII characters without spaces$/],
    ['FEED_JWT_SECRET', 'hush', /^FEED_JWT_SECRET must be 32 bytes or more \(RFC 7518 section 3.2; openssl rand -base64 32 makes one\)$/],
    ['FEED_PUBLISH_KEYS', 'a,,b', /^FEED_PUBLISH_KEYS must be one or more visible ASCII characters without spaces, each of one or more$/],
    ['FEED_CORS_ORIGINS', '*', /^FEED_CORS_ORIGINS must be origins as browsers send them, .* not "\*"$/],
    ['FEED_CORS_ORIGINS', 'https://a.example/', /^FEED_CORS_ORIGINS must be origins .*without a path.* not "https:\/\/a.example\/"$/],
    ['FEED_CORS_ORIGINS', 'https://a.example,b.example', /^FEED_CORS_ORIGINS must be origins /],
    ['FEED_AUTHORIZE_URL', 'auth.example', /^FEED_AUTHORIZE_URL must be an http or https URL without a user name and a password$/],
    ['FEED_TICKETS', 'yes', 'FEED_TICKETS must be on or off, not "yes"'],
    ['FEED_TOKEN_IN_QUERY', 'no', 'FEED_TOKEN_IN_QUERY must be on or off, not "no"'],
    ['FEED_WEBHOOK_URL', 'http://127.0.0.1:1', /^FEED_WEBHOOK_SECRET is invalid: /],
    ['FEED_COMPRESS_MIN_BYTES', 'some', 'FEED_COMPRESS_MIN_BYTES must be a whole number of bytes, not "some"'],
    ['FEED_COMPRESS_MIN_BYTES', '65536', 'FEED_COMPRESS_MIN_BYTES must be 65535 or fewer bytes, not "65536"'],
    ['FEED_MAX_CONNECTIONS', 'many', 'FEED_MAX_CONNECTIONS must be a whole number of connections, not "many"'],
    ['FEED_BROKER', 'kafka://user:secret@host', /^FEED_BROKER must be memory, or a URL: redis:\/\/…[^@]*$/],
    ['FEED_PRESENCE', 'yes', 'FEED_PRESENCE must be on or off, not "yes"'],
    ['FEED_LOG_CONNECTIONS', 'some', 'FEED_LOG_CONNECTIONS must be none, abnormal or all, not "some"'],
    ['FEED_NODE_NAME', 'a b', 'FEED_NODE_NAME must be 1 to 100 visible ASCII characters without spaces, not "a b"'],
    ['WORKERS', '0', 'WORKERS must be 1 or more processes, not "0"'],
    ['WORKERS', '65', 'WORKERS must be 64 or fewer processes, not "65"'],
    ['WORKERS', '2', /^FEED_BROKER must be redis:\/\/… or nats:\/\/… with WORKERS=2: the memory broker /],
  ])('are rejected in one line where %s=%s', (name, value, line) => {
    const read = () => readConfig({ [name]: value });
    expect(read).toThrow(ConfigError);
    expect(read).toThrow(typeof line === 'string' ? expect.objectContaining({ message: line }) : line);
    expect(read).not.toThrow(/\n/);
  });

  const [one, other] = ['x'.repeat(32), 'ü'.repeat(16)];

  it.each([
    [{ FEED_JWT_SECRET: one }, { jwtSecret: [one], public: false }],
    [{ FEED_JWT_SECRET: `${one},${other}` }, { jwtSecret: [`${one},${other}`] }],
    [{ FEED_JWT_SECRETS: `${one}, ${other}` }, { jwtSecret: [one, other], public: false }],
    [{ FEED_PUBLISH_KEY: 'a,b' }, { publishKey: ['a,b'], public: true }],
    [{ FEED_PUBLISH_KEYS: 'a,b' }, { publishKey: ['a', 'b'], public: true }],
    [{ FEED_TOKEN_IN_QUERY: 'off' }, { tokenInQuery: false }],
    [{ FEED_CORS_ORIGINS: 'https://a.example,http://b.example:81' }, { trustedOrigins: ['https://a.example', 'http://b.example:81'] }],
    [{ FEED_AUTHORIZE_URL: 'http://127.0.0.1:1/authorize' }, { authorize: expect.any(Function), public: false }],
  ])('%j are %j', (env, feed) => {
    expect(readConfig(env).feed).toMatchObject(feed);
  });

  it('have two secrets of a webhook, each of which signs', () => {
    const env = { FEED_WEBHOOK_URL: 'http://127.0.0.1:1', FEED_WEBHOOK_SECRETS: 'old, new' };
    expect(readConfig(env).webhook).toMatchObject({ secret: ['old', 'new'] });
  });

  it.each([
    [{ FEED_JWT_SECRET: one, FEED_JWT_SECRETS: one }, 'FEED_JWT_SECRETS takes the place of FEED_JWT_SECRET: set one of the two'],
    [{ FEED_ADMIN_KEY: 'a', FEED_ADMIN_KEYS: 'a' }, 'FEED_ADMIN_KEYS takes the place of FEED_ADMIN_KEY: set one of the two'],
    [{ FEED_PUBLISH_KEY: 'a', FEED_PUBLISH_KEYS: 'a' }, 'FEED_PUBLISH_KEYS takes the place of FEED_PUBLISH_KEY: set one of the two'],
    [{ FEED_JWT_SECRETS: `${one},short` }, /^FEED_JWT_SECRETS must be 32 bytes or more [^x]*, each of one or more$/],
    [{ FEED_JWT_SECRETS: `${one},` }, /^FEED_JWT_SECRETS must be 32 bytes or more/],
    [{ FEED_JWT_SECRET: one, FEED_AUTHORIZE_URL: 'http://a/' }, /^FEED_AUTHORIZE_URL is invalid: .*"jwtSecret" or by "authorize"/],
    [{ FEED_TICKETS: 'on' }, /^FEED_TICKETS is invalid: .*needs "jwtSecret" or "ticketSecret"/],
    [{ FEED_TICKETS: 'on', FEED_JWT_SECRET: one, FEED_PATH: '/tickets/x' }, /^FEED_PATH must not begin with tickets/],
    [{ FEED_TICKET_SECRETS: one }, /^FEED_TICKET_SECRETS is invalid: .*needs "tickets"/],
    [{ FEED_AUTHORIZE_TIMEOUT_MS: '1' }, 'FEED_AUTHORIZE_TIMEOUT_MS needs FEED_AUTHORIZE_URL too'],
  ])('are rejected in one line where they are %j', (env: Record<string, string>, line) => {
    const read = () => readConfig(env);
    expect(read).toThrow(ConfigError);
    expect(read).toThrow(typeof line === 'string' ? expect.objectContaining({ message: line }) : line);
  });

  it.each([
    ['redis://user:secret@', /^FEED_BROKER is invalid: The URL of Redis must be [^@]*$/],
    ['nats://user:secret@', /^FEED_BROKER is invalid: The NATS broker's URL is [^@]*$/],
  ])('do not repeat a password where FEED_BROKER=%s', async (url, line) => {
    await expect(brokerFromUrl(url)).rejects.toThrow(line);
    await expect(brokerFromUrl(url)).rejects.toBeInstanceOf(ConfigError);
  });
});
