import * as v from 'valibot';
import { feedOptionRules } from './feed/feed.options.js';

/** What the service takes from its environment, checked. */
export interface Config {
  host: string;
  port: number;
  adapter: 'express' | 'fastify';
  path: string;
  intervalMs: number | undefined;
  maxConnections: number | undefined;
  bufferBytes: number | undefined;
  handover: boolean | undefined;
  drainMs: number | undefined;
}

/** A variable of the environment has a wrong value. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly code = 'CONFIG';

  constructor(
    readonly variable: string,
    readonly value: string | undefined,
    readonly rule: string,
  ) {
    super(`${variable} ${rule}, not ${JSON.stringify(value)}`);
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

const portRule = 'must be a port: a whole number from 0 to 65535';
const pathRule = 'must be a path: segments of A-Z a-z 0-9 . _ ~ - with / between them';

const rules = {
  HOST: v.optional(v.pipe(v.string(), v.trim(), v.nonEmpty('must name an address to listen on')), '127.0.0.1'),
  PORT: v.optional(v.pipe(v.string(), v.trim(), v.regex(/^\d+$/, portRule), v.transform(Number), v.maxValue(65_535, portRule)), '8080'),
  FEED_ADAPTER: v.optional(v.picklist(['express', 'fastify'], 'must be express or fastify'), 'express'),
  FEED_PATH: v.optional(v.pipe(v.string(), v.regex(/^\/?[\w.~-]+(\/[\w.~-]+)*\/?$/, pathRule)), 'test'),
  FEED_INTERVAL_MS: number(feedOptionRules.intervalMs),
  FEED_MAX_CONNECTIONS: number(feedOptionRules.maxConnections),
  FEED_BUFFER_BYTES: number(feedOptionRules.bufferBytes),
  FEED_DRAIN_MS: number(feedOptionRules.drainMs),
  FEED_HANDOVER: v.optional(
    v.pipe(
      v.picklist(['on', 'off'], 'must be on or off'),
      v.transform((value) => value === 'on'),
    ),
  ),
};

/**
 * Reads the service's configuration.
 *
 * @param env a variable that is set to nothing counts as not set
 * @throws ConfigError naming the variable, what it was and what is allowed
 */
export function readConfig(env: NodeJS.ProcessEnv): Config {
  const set = Object.fromEntries(Object.keys(rules).map((name) => [name, env[name] || undefined]));
  const result = v.safeParse(v.object(rules), set);
  if (!result.success) {
    const [issue] = result.issues;
    const variable = String(issue.path?.[0]?.key);
    throw new ConfigError(variable, env[variable], issue.message);
  }
  const values = result.output;
  return {
    host: values.HOST,
    port: values.PORT,
    adapter: values.FEED_ADAPTER,
    path: values.FEED_PATH,
    intervalMs: values.FEED_INTERVAL_MS,
    maxConnections: values.FEED_MAX_CONNECTIONS,
    bufferBytes: values.FEED_BUFFER_BYTES,
    handover: values.FEED_HANDOVER,
    drainMs: values.FEED_DRAIN_MS,
  };
}
