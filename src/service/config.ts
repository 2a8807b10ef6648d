import * as v from 'valibot';
import { keyForm, keyRule } from '../feed/auth/auth.options.js';
import { authorizeAt } from '../feed/auth/authorize-at.js';
import { FeedOptionsError } from '../feed/errors/feed-options.error.js';
import { milliseconds, numberIn, wholeNumber } from '../feed/errors/option-rules.js';
import { type FeedOptions, feedOptionRules, resolveFeedOptions } from '../feed/feed.options.js';
import type { FeedRules } from '../feed/pubsub/rules.js';
import { resolveWebhookOptions, type WebhookOptions } from '../webhook/webhook.options.js';
import type { LogFormat } from './log.js';

/** The service's configuration, checked. */
export interface Config {
  host: string;
  port: number;
  adapter: 'express' | 'fastify';
  /** That of the feeds, without slashes at its ends. */
  path: string;
  /** `memory`, or the broker's URL, which may contain a password. */
  broker: string;
  /** The number of workers. */
  workers: number;
  /** The number of this worker, from 1 on; the primary sets it. */
  worker: number;
  log: LogFormat;
  /** Undefined: it is not served. */
  dashboard: { key: string | undefined } | undefined;
  /** Undefined: the routes of operators are not there. */
  admin: { key: string | readonly string[] | undefined } | undefined;
  feed: FeedOptions;
  /** Whether `POST /tickets` issues one-time tickets. */
  tickets: boolean;
  webhook: WebhookOptions | undefined;
  /** The longest that a process takes to end its feeds and to send the last events, in milliseconds. */
  shutdownMs: number;
}

/** An environment variable is invalid. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly code = 'CONFIG';

  constructor(
    readonly variable: string,
    message: string,
  ) {
    super(`${variable} ${message}`);
  }
}

const number = (rule: v.GenericSchema<number | undefined>) =>
  v.optional(v.pipe(v.string(), v.trim(), v.transform(numberIn), rule as v.GenericSchema<number>));

const list = <Output>(rule: v.GenericSchema<string | readonly string[] | undefined, Output>) =>
  v.optional(
    v.pipe(
      v.string(),
      v.transform((text) => text.split(',').map((item) => item.trim())),
      rule as unknown as v.GenericSchema<string[], Output>,
    ),
  );

const json = v.optional(
  v.pipe(
    v.string(),
    v.rawTransform(({ dataset, addIssue, NEVER }) => {
      try {
        const value: unknown = JSON.parse(dataset.value);
        if (typeof value === 'object' && !Array.isArray(value)) return value as FeedRules;
        addIssue({ message: 'must be a JSON object' });
      } catch (error) {
        addIssue({ message: `must be JSON: ${(error as Error).message}` });
      }
      return NEVER;
    }),
  ),
);

const onOff = v.optional(
  v.pipe(
    v.picklist(['on', 'off'], 'must be on or off'),
    v.transform((value) => value === 'on'),
  ),
);

const portRule = 'must be a port: a whole number from 0 to 65535';
const brokerRule = 'must be memory, or a URL: redis://… (rediss, redis+sentinel, redis+cluster) or nats://… (tls)';
const pathRule = 'must be a path: segments of A-Z a-z 0-9 . _ ~ - with / between them';

interface Variable {
  rule: v.GenericSchema;
  /** The option of the feeds or of the webhook that it sets, alone or with another one. */
  option?: keyof FeedOptions | keyof ServiceOptions | keyof WebhookOptions;
  /** Error messages do not show the value of a secret. */
  isSecret?: true;
}

/** The environment variables, each with the rule for its value. */
const variables = {
  HOST: { rule: v.optional(v.pipe(v.string(), v.trim(), v.nonEmpty('must name an address to listen on')), '127.0.0.1') },
  PORT: { rule: number(v.pipe(v.number(portRule), v.maxValue(65_535, portRule))) },
  WORKERS: { rule: number(wholeNumber('processes', 1, 64)) },
  FEED_ADAPTER: { rule: v.optional(v.picklist(['express', 'fastify'], 'must be express or fastify'), 'express') },
  FEED_PATH: {
    rule: v.optional(
      v.pipe(
        v.string(),
        v.regex(/^\/?[\w.~-]+(\/[\w.~-]+)*\/?$/, pathRule),
        v.transform((path) => path.replace(/^\/|\/$/g, '')),
        v.regex(/^(?!(admin|health|metrics)(\/|$))/i, 'must not begin with admin, health or metrics, which are routes of their own'),
      ),
      'test',
    ),
  },
  FEED_BROKER: {
    rule: v.optional(
      v.pipe(v.string(), v.trim(), v.regex(/^(memory$|rediss?(\+sentinel|\+cluster)?:\/\/|nats:\/\/|tls:\/\/)/, brokerRule)),
      'memory',
    ),
    isSecret: true,
  },
  FEED_LOG: { rule: v.optional(v.picklist(['text', 'json'], 'must be text or json'), 'text') },
  FEED_DASHBOARD: { rule: onOff },
  FEED_DASHBOARD_KEY: { rule: v.optional(v.pipe(v.string(), v.regex(keyForm, keyRule))), isSecret: true },
  FEED_ADMIN_KEY: { option: 'adminKey', rule: v.optional(v.pipe(v.string(), v.regex(keyForm, keyRule))), isSecret: true },
  FEED_ADMIN_KEYS: { option: 'adminKey', rule: list(feedOptionRules.publishKey), isSecret: true },
  FEED_WORKER: { rule: v.optional(v.pipe(v.string(), v.transform(Number)), '1') },
  FEED_RULES: { option: 'rules', rule: json },
  FEED_WEBHOOK_URL: { option: 'url', rule: v.optional(v.string()) },
  FEED_WEBHOOK_SECRET: { option: 'secret', rule: v.optional(v.string()), isSecret: true },
  FEED_WEBHOOK_SECRETS: { option: 'secret', rule: list(v.array(v.string())), isSecret: true },
  FEED_INTERVAL_MS: { option: 'intervalMs', rule: number(feedOptionRules.intervalMs) },
  FEED_MAX_CONNECTIONS: { option: 'maxConnections', rule: number(feedOptionRules.maxConnections) },
  FEED_MAX_OPEN_DELAY_MS: { option: 'maxOpenDelayMs', rule: number(feedOptionRules.maxOpenDelayMs) },
  FEED_MAX_CONNECTIONS_PER_CLIENT: { option: 'maxConnectionsPerClient', rule: number(feedOptionRules.maxConnectionsPerClient) },
  FEED_CONNECTION_RATE_PER_CLIENT: { option: 'connectionRatePerClient', rule: number(feedOptionRules.connectionRatePerClient) },
  FEED_PUBLISH_RATE_PER_CLIENT: { option: 'publishRatePerClient', rule: number(feedOptionRules.publishRatePerClient) },
  FEED_PUBLISH_RATE_PER_KEY: { option: 'publishRatePerKey', rule: number(feedOptionRules.publishRatePerKey) },
  FEED_TRUSTED_PROXIES: { option: 'trustedProxies', rule: list(feedOptionRules.trustedProxies) },
  FEED_BUFFER_BYTES: { option: 'bufferBytes', rule: number(feedOptionRules.bufferBytes) },
  FEED_TOTAL_BUFFER_BYTES: { option: 'totalBufferBytes', rule: number(feedOptionRules.totalBufferBytes) },
  FEED_HEARTBEAT_MS: { option: 'heartbeatMs', rule: number(feedOptionRules.heartbeatMs) },
  FEED_STALL_MS: { option: 'stallMs', rule: number(feedOptionRules.stallMs) },
  FEED_MAX_AGE_MS: { option: 'maxAgeMs', rule: number(feedOptionRules.maxAgeMs) },
  FEED_HANDOVER: { option: 'handover', rule: onOff },
  FEED_COMPRESS_MIN_BYTES: {
    option: 'compress',
    rule: v.pipe(
      number(feedOptionRules.compress.wrapped.entries.minBytes),
      v.transform((minBytes) => (minBytes === undefined ? undefined : { minBytes })),
    ),
  },
  FEED_DRAIN_MS: { option: 'drainMs', rule: number(feedOptionRules.drainMs) },
  FEED_LAME_DUCK_MS: { option: 'lameDuckMs', rule: number(feedOptionRules.lameDuckMs) },
  FEED_BODY_BYTES: { option: 'bodyBytes', rule: number(feedOptionRules.bodyBytes) },
  FEED_HISTORY_LENGTH: { option: 'historyLength', rule: number(feedOptionRules.historyLength) },
  FEED_HISTORY_TTL_MS: { option: 'historyTtlMs', rule: number(feedOptionRules.historyTtlMs) },
  FEED_HISTORY_BYTES: { option: 'historyBytes', rule: number(feedOptionRules.historyBytes) },
  FEED_HISTORY_TOTAL_BYTES: { option: 'historyTotalBytes', rule: number(feedOptionRules.historyTotalBytes) },
  FEED_IDEMPOTENCY_MS: { option: 'idempotencyMs', rule: number(feedOptionRules.idempotencyMs) },
  FEED_LOG_CONNECTIONS: { option: 'logConnections', rule: v.optional(feedOptionRules.logConnections) },
  FEED_PRESENCE: { option: 'presence', rule: onOff },
  FEED_NODE_NAME: { option: 'nodeName', rule: v.optional(feedOptionRules.nodeName) },
  FEED_PUBLISH_KEY: { option: 'publishKey', rule: v.optional(feedOptionRules.publishKey), isSecret: true },
  FEED_PUBLISH_KEYS: { option: 'publishKey', rule: list(feedOptionRules.publishKey), isSecret: true },
  FEED_JWT_SECRET: { option: 'jwtSecret', rule: v.optional(feedOptionRules.jwtSecret), isSecret: true },
  FEED_JWT_SECRETS: { option: 'jwtSecret', rule: list(feedOptionRules.jwtSecret), isSecret: true },
  FEED_JWKS_URL: { option: 'jwksUrl', rule: v.optional(feedOptionRules.jwksUrl), isSecret: true },
  FEED_JWT_ISSUER: { option: 'jwtIssuer', rule: v.optional(feedOptionRules.jwtIssuer) },
  FEED_JWT_AUDIENCE: { option: 'jwtAudience', rule: v.optional(feedOptionRules.jwtAudience) },
  FEED_TOKEN_COOKIE: { option: 'tokenCookie', rule: v.optional(feedOptionRules.tokenCookie) },
  FEED_TOKEN_IN_QUERY: { option: 'tokenInQuery', rule: onOff },
  FEED_TICKETS: { option: 'tickets', rule: onOff },
  FEED_TICKET_SECRETS: { option: 'ticketSecret', rule: list(feedOptionRules.ticketSecret), isSecret: true },
  FEED_AUTHORIZE_URL: { option: 'authorize', rule: v.optional(feedOptionRules.jwksUrl), isSecret: true },
  FEED_AUTHORIZE_TIMEOUT_MS: { rule: number(milliseconds(1)) },
  FEED_CORS_ORIGINS: { option: 'trustedOrigins', rule: list(feedOptionRules.trustedOrigins) },
} as const satisfies Record<string, Variable>;

type Name = keyof typeof variables;
type Values = { [Key in Name]: v.InferOutput<(typeof variables)[Key]['rule']> };

const table = Object.entries(variables) as [Name, Variable][];
const schema = v.object(Object.fromEntries(table.map(([name, { rule }]) => [name, rule])));

/** The interval of the service's source, in milliseconds. */
const defaultIntervalMs = 1000;

/** How long a request for a feed may wait to be opened, in milliseconds. */
const defaultOpenDelayMs = 500;

/** How long a shutdown waits for the webhook after the last feed has ended, in milliseconds: `FEED_DRAIN_MS` bounds the rest. */
const webhookFlushMs = 500;

/**
 * Reads the service's configuration.
 *
 * @param env a variable with an empty value counts as missing
 * @throws ConfigError naming the variable, its value (unless that is secret) and what is allowed
 */
export function readConfig(env: NodeJS.ProcessEnv): Config {
  const values = read(env);
  const { url, secret, adminKey, tickets = false, ...options } = optionsOf(values);
  const { jwtSecret, jwksUrl, intervalMs = defaultIntervalMs, maxOpenDelayMs = defaultOpenDelayMs } = options;
  const authorize = authorizeOf(values);
  const feed: FeedOptions = {
    ...options,
    authorize,
    intervalMs,
    maxOpenDelayMs,
    public: (jwtSecret ?? jwksUrl ?? authorize) === undefined,
  };
  const webhook = url === undefined && secret === undefined ? undefined : ({ url, secret, flushMs: webhookFlushMs } as WebhookOptions);
  const { drainMs } = check(values, () => resolveFeedOptions(feed, { tickets }));
  const flushMs = webhook ? check(values, () => resolveWebhookOptions(webhook)).flushMs : 0;
  const { PORT: port = 8080, WORKERS: workers = 1 } = values;
  if (tickets && /^tickets(\/|$)/i.test(values.FEED_PATH)) {
    throw new ConfigError('FEED_PATH', 'must not begin with tickets, which is a route of its own with FEED_TICKETS=on');
  }
  if (workers > 1 && values.FEED_BROKER === 'memory') {
    const reason = 'the memory broker does not share messages between processes';
    throw new ConfigError('FEED_BROKER', `must be redis://… or nats://… with WORKERS=${workers}: ${reason}`);
  }
  return {
    host: values.HOST,
    port,
    adapter: values.FEED_ADAPTER,
    path: values.FEED_PATH,
    broker: values.FEED_BROKER,
    workers,
    worker: values.FEED_WORKER,
    log: values.FEED_LOG,
    dashboard: (values.FEED_DASHBOARD ?? true) ? { key: values.FEED_DASHBOARD_KEY } : undefined,
    admin: adminKey !== undefined || !feed.public ? { key: adminKey } : undefined,
    feed,
    tickets,
    webhook,
    shutdownMs: drainMs + flushMs,
  };
}

/** What the service has of its own beside the options of the feeds and of the webhook. */
interface ServiceOptions {
  tickets?: boolean;
  adminKey?: string | readonly string[];
}

/** The options that are set. */
function optionsOf(values: Values): Partial<WebhookOptions> & FeedOptions & ServiceOptions {
  const set = new Map<string, Name>();
  for (const [name, { option }] of table) {
    if (!option || values[name] === undefined) continue;
    const other = set.get(option);
    if (other) throw new ConfigError(name, `takes the place of ${other}: set one of the two`);
    set.set(option, name);
  }
  return Object.fromEntries([...set].map(([option, name]) => [option, values[name]]));
}

/** Asks another service what is allowed, where its URL is set. */
function authorizeOf({ FEED_AUTHORIZE_URL: url, FEED_AUTHORIZE_TIMEOUT_MS: timeoutMs }: Values): FeedOptions['authorize'] {
  if (url !== undefined) return authorizeAt(url, { timeoutMs });
  if (timeoutMs !== undefined) throw new ConfigError('FEED_AUTHORIZE_TIMEOUT_MS', 'needs FEED_AUTHORIZE_URL too');
  return undefined;
}

function read(env: NodeJS.ProcessEnv): Values {
  const result = v.safeParse(schema, Object.fromEntries(table.map(([name]) => [name, env[name] || undefined])));
  if (result.success) return result.output as Values;
  const [{ path, message }] = result.issues;
  const name = path?.[0]?.key as Name;
  const { isSecret }: Variable = variables[name];
  throw new ConfigError(name, isSecret ? message : `${message}, not ${JSON.stringify(env[name])}`);
}

/** Names the variable that sets an invalid option. */
function check<T>(values: Values, resolve: () => T): T {
  try {
    return resolve();
  } catch (error) {
    if (!(error instanceof FeedOptionsError)) throw error;
    const [option] = error.option.split('.');
    const names = table.filter((entry) => entry[1].option === option).map(([name]) => name);
    const name = names.find((name) => values[name] !== undefined) ?? names[0];
    throw new ConfigError(name ?? error.option, `is invalid: ${error.message}`);
  }
}
