import * as v from 'valibot';
import { isWeakSecret } from '../feed/auth/auth.options.js';
import { FeedOptionsError } from '../feed/errors/feed.errors.js';
import { type FeedOptions, feedOptionRules, resolveFeedOptions } from '../feed/feed.options.js';
import { matchesFeed } from '../feed/message/feed-pattern.js';
import type { FeedRules } from '../feed/pubsub/router.js';
import { WebhookOptionsError } from '../webhook/webhook.errors.js';
import { resolveWebhookOptions, type WebhookOptions } from '../webhook/webhook.options.js';
import type { LogFormat } from './log.js';

/** What the service takes from its environment, checked. */
export interface Config {
  host: string;
  port: number;
  adapter: 'express' | 'fastify';
  path: string;
  /** `memory`, or the URL of an engine, which may have a password. */
  broker: string;
  /** How many processes serve. */
  workers: number;
  /** Which of them this is, from 1 on; the primary sets it. */
  worker: number;
  log: LogFormat;
  /** Undefined: there is none. */
  dashboard: { key: string | undefined } | undefined;
  feed: FeedOptions;
  webhook: WebhookOptions | undefined;
  /** The longest that a process takes to end its feeds and what tells of them, in milliseconds. */
  shutdownMs: number;
  /** What whoever starts the service should know, a line each. */
  warnings: string[];
}

/** A variable of the environment has a wrong value. */
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

const number = <Rule extends v.GenericSchema<number, number>>(rule: Rule) =>
  v.optional(
    v.pipe(
      v.string(),
      v.trim(),
      v.transform((value) => (/^\d+$/.test(value) ? Number(value) : Number.NaN)),
      rule,
    ),
  );

const list = <Rule extends v.GenericSchema<string[], string[]>>(rule: Rule) =>
  v.optional(
    v.pipe(
      v.string(),
      v.transform((text) => text.split(',').map((item) => item.trim())),
      rule,
    ),
  );

const patterns = list(v.array(v.string()));

const onOff = v.optional(
  v.pipe(
    v.picklist(['on', 'off'], 'must be on or off'),
    v.transform((value) => value === 'on'),
  ),
);

const portRule = 'must be a port: a whole number from 0 to 65535';
const workersRule = 'must be a whole number of processes from 1 to 64';
const brokerRule = 'must be memory, or a URL: redis://… (rediss, redis+sentinel, redis+cluster) or nats://… (tls)';
const pathRule = 'must be a path: segments of A-Z a-z 0-9 . _ ~ - with / between them';

const service = {
  HOST: v.optional(v.pipe(v.string(), v.trim(), v.nonEmpty('must name an address to listen on')), '127.0.0.1'),
  PORT: v.optional(v.pipe(v.string(), v.trim(), v.regex(/^\d+$/, portRule), v.transform(Number), v.maxValue(65_535, portRule)), '8080'),
  FEED_ADAPTER: v.optional(v.picklist(['express', 'fastify'], 'must be express or fastify'), 'express'),
  FEED_PATH: v.optional(
    v.pipe(
      v.string(),
      v.regex(/^\/?[\w.~-]+(\/[\w.~-]+)*\/?$/, pathRule),
      v.regex(/^(?!\/?(health|metrics)(\/|$))/i, 'must not be where the health checks and the metrics are: health, metrics'),
    ),
    'test',
  ),
  FEED_BROKER: v.optional(
    v.pipe(v.string(), v.trim(), v.regex(/^(memory$|rediss?(\+sentinel|\+cluster)?:\/\/|nats:\/\/|tls:\/\/)/, brokerRule)),
    'memory',
  ),
  WORKERS: v.optional(
    v.pipe(
      v.string(),
      v.trim(),
      v.regex(/^\d+$/, workersRule),
      v.transform(Number),
      v.minValue(1, workersRule),
      v.maxValue(64, workersRule),
    ),
    '1',
  ),
  FEED_LOG: v.optional(v.picklist(['text', 'json'], 'must be text or json'), 'text'),
  FEED_DASHBOARD: onOff,
  FEED_DASHBOARD_KEY: v.optional(feedOptionRules.publishKey),
  FEED_WORKER: v.optional(v.pipe(v.string(), v.transform(Number)), '1'),
  FEED_REPLAY_LATEST: patterns,
  FEED_CONFLATE: patterns,
  FEED_WEBHOOK_URL: v.optional(v.string()),
  FEED_WEBHOOK_SECRET: v.optional(v.string()),
};

/** The module's options by their variables, which carry the same names. */
const options = {
  FEED_INTERVAL_MS: ['intervalMs', number(feedOptionRules.intervalMs)],
  FEED_MAX_CONNECTIONS: ['maxConnections', number(feedOptionRules.maxConnections)],
  FEED_MAX_CONNECTIONS_PER_CLIENT: ['maxConnectionsPerClient', number(feedOptionRules.maxConnectionsPerClient)],
  FEED_CONNECTION_RATE_PER_CLIENT: ['connectionRatePerClient', number(feedOptionRules.connectionRatePerClient)],
  FEED_TRUSTED_PROXIES: ['trustedProxies', list(feedOptionRules.trustedProxies)],
  FEED_BUFFER_BYTES: ['bufferBytes', number(feedOptionRules.bufferBytes)],
  FEED_TOTAL_BUFFER_BYTES: ['totalBufferBytes', number(feedOptionRules.totalBufferBytes)],
  FEED_HEARTBEAT_MS: ['heartbeatMs', number(feedOptionRules.heartbeatMs)],
  FEED_STALL_MS: ['stallMs', number(feedOptionRules.stallMs)],
  FEED_MAX_AGE_MS: ['maxAgeMs', number(feedOptionRules.maxAgeMs)],
  FEED_HANDOVER: ['handover', onOff],
  FEED_DRAIN_MS: ['drainMs', number(feedOptionRules.drainMs)],
  FEED_LAME_DUCK_MS: ['lameDuckMs', number(feedOptionRules.lameDuckMs)],
  FEED_BODY_BYTES: ['bodyBytes', number(feedOptionRules.bodyBytes)],
  FEED_HISTORY_LENGTH: ['historyLength', number(feedOptionRules.historyLength)],
  FEED_HISTORY_TTL_MS: ['historyTtlMs', number(feedOptionRules.historyTtlMs)],
  FEED_HISTORY_BYTES: ['historyBytes', number(feedOptionRules.historyBytes)],
  FEED_HISTORY_TOTAL_BYTES: ['historyTotalBytes', number(feedOptionRules.historyTotalBytes)],
  FEED_NODE_NAME: ['nodeName', v.optional(feedOptionRules.nodeName)],
  FEED_PUBLISH_KEY: ['publishKey', v.optional(feedOptionRules.publishKey)],
  FEED_JWT_SECRET: ['jwtSecret', v.optional(feedOptionRules.jwtSecret)],
  FEED_JWKS_URL: ['jwksUrl', v.optional(feedOptionRules.jwksUrl)],
  FEED_JWT_ISSUER: ['jwtIssuer', v.optional(feedOptionRules.jwtIssuer)],
  FEED_JWT_AUDIENCE: ['jwtAudience', v.optional(feedOptionRules.jwtAudience)],
  FEED_TOKEN_COOKIE: ['tokenCookie', v.optional(feedOptionRules.tokenCookie)],
} as const satisfies Record<string, readonly [keyof FeedOptions, v.GenericSchema]>;

const optionSchemas = Object.fromEntries(Object.entries(options).map(([variable, [, schema]]) => [variable, schema]));

/** Variables that hold secrets: what they were is not told. */
const secrets = new Set([
  'FEED_BROKER',
  'FEED_PUBLISH_KEY',
  'FEED_DASHBOARD_KEY',
  'FEED_JWT_SECRET',
  'FEED_JWKS_URL',
  'FEED_WEBHOOK_SECRET',
]);

/**
 * Reads the service's configuration.
 *
 * @param env a variable that is set to nothing counts as not set
 * @throws ConfigError naming the variable, what it was (but for secrets) and what is allowed
 */
export function readConfig(env: NodeJS.ProcessEnv): Config {
  const values = read(service, env);
  const { FEED_REPLAY_LATEST: replayed = [], FEED_CONFLATE: conflated = [] } = values;
  const given = read(optionSchemas, env);
  const feed: FeedOptions = {
    ...Object.fromEntries(Object.entries(options).map(([variable, [option]]) => [option, given[variable]])),
    rules: rulesOf(replayed, conflated),
  };
  const { drainMs } = check(() => resolveFeedOptions(feed));
  if (values.WORKERS > 1 && values.FEED_BROKER === 'memory') {
    throw new ConfigError(
      'FEED_BROKER',
      `must be redis://… or nats://… where WORKERS is ${values.WORKERS}: memory would carry a message to those alone who follow it in the same process`,
    );
  }
  const { jwtSecret } = feed;
  const webhook = webhookOf(values.FEED_WEBHOOK_URL, values.FEED_WEBHOOK_SECRET);
  return {
    host: values.HOST,
    port: values.PORT,
    adapter: values.FEED_ADAPTER,
    path: values.FEED_PATH,
    broker: values.FEED_BROKER,
    workers: values.WORKERS,
    worker: values.FEED_WORKER,
    log: values.FEED_LOG,
    dashboard: (values.FEED_DASHBOARD ?? true) ? { key: values.FEED_DASHBOARD_KEY } : undefined,
    feed,
    webhook,
    shutdownMs: drainMs + (webhook ? resolveWebhookOptions(webhook).flushMs : 0),
    warnings:
      jwtSecret !== undefined && isWeakSecret(jwtSecret)
        ? ['FEED_JWT_SECRET has fewer than 32 bytes: RFC 7518 section 3.2 asks for that many, since shorter ones can be guessed']
        : [],
  };
}

function read<Entries extends v.ObjectEntries>(
  entries: Entries,
  env: NodeJS.ProcessEnv,
): v.InferOutput<v.ObjectSchema<Entries, undefined>> {
  const set = Object.fromEntries(Object.keys(entries).map((name) => [name, env[name] || undefined]));
  const result = v.safeParse(v.object(entries), set);
  if (result.success) return result.output;
  const [issue] = result.issues;
  const variable = String(issue.path?.[0]?.key);
  throw new ConfigError(variable, secrets.has(variable) ? issue.message : `${issue.message}, not ${JSON.stringify(env[variable])}`);
}

/** A rule for each pattern, which says all that the others say of the same feeds: the most particular one counts. */
function rulesOf(replayed: string[], conflated: string[]): FeedRules {
  const isIn = (patterns: string[], feed: string) => patterns.some((pattern) => matchesFeed(pattern, feed));
  return Object.fromEntries(
    [...replayed, ...conflated].map((pattern) => [
      pattern,
      { replay: isIn(replayed, pattern) ? 'latest' : undefined, conflate: isIn(conflated, pattern) },
    ]),
  );
}

/** How long a shutdown waits for the webhook's target after the last feed has ended: `FEED_DRAIN_MS` is the longest that it is meant to take. */
const webhookFlushMs = 500;

function webhookOf(url: string | undefined, secret: string | undefined): WebhookOptions | undefined {
  if (url === undefined && secret === undefined) return undefined;
  const webhook = { url, secret, flushMs: webhookFlushMs } as WebhookOptions;
  check(() => resolveWebhookOptions(webhook));
  return webhook;
}

/** Has the options' own check speak of the variables that they came from. */
function check<T>(resolve: () => T): T {
  try {
    return resolve();
  } catch (error) {
    if (!(error instanceof FeedOptionsError || error instanceof WebhookOptionsError)) throw error;
    const { option, message } = error;
    const variable = Object.entries(options).find(([, [name]]) => name === option)?.[0] ?? other[option.split('.')[0] as string] ?? option;
    throw new ConfigError(variable, `is not right: ${message}`);
  }
}

const other: Record<string, string> = {
  rules: 'FEED_REPLAY_LATEST or FEED_CONFLATE',
  url: 'FEED_WEBHOOK_URL',
  secret: 'FEED_WEBHOOK_SECRET',
};
