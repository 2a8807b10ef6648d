import { hostname } from 'node:os';
import type { CanActivate, Type } from '@nestjs/common';
import * as v from 'valibot';
import { type AuthOptions, authOptionRules, type ResolvedAuthOptions, resolveAuthOptions } from './auth/auth.options.js';
import type { BrokerFactory, HistoryBounds } from './broker/broker.js';
import { MemoryBroker } from './broker/memory/memory-broker.js';
import type { RegistryOptions } from './connection/registry.js';
import { FeedOptionsError } from './errors/feed.errors.js';
import { type LimitOptions, limitOptionRules, type ResolvedLimitOptions, resolveLimitOptions } from './limits/limit.options.js';
import { openFileLimit, reserveOf } from './limits/open-files.js';
import { feedPatternRule } from './message/feed-pattern.js';
import type { FeedRules } from './pubsub/router.js';
import { intervalSource } from './source/interval-source.js';
import type { FeedSource } from './source/source.js';

/** The options of `FeedModule`. */
export interface FeedOptions extends AuthOptions, LimitOptions {
  /**
   * What feeds each connection of the built-in route `GET <path>/:id`.
   * Default: a greeting, then a numbered chunk each `intervalMs`.
   */
  source?: FeedSource;
  /** Period of the default source, in milliseconds. Default: 1000. 0: the default source says nothing. */
  intervalMs?: number;
  /**
   * How many connections may be open at once; one more is answered with 503 and `Retry-After`.
   * Default: the process's limit on open files, less a twentieth (at least 64), which other work needs. 0: no limit.
   */
  maxConnections?: number;
  /** Unsent bytes that one connection may hold before it ends with the reason `slow`. Default: 65536. */
  bufferBytes?: number;
  /** Unsent bytes that all connections together may hold; beyond, the one that holds most ends as `slow`. Default: 268435456. 0: no bound. */
  totalBufferBytes?: number;
  /** Silence after which a connection gets a heartbeat, in milliseconds. Default: 25000. 0: none. */
  heartbeatMs?: number;
  /** How long bytes may wait for a client without any progress before it ends as `stalled`, in milliseconds. Default: 30000. 0: for ever. */
  stallMs?: number;
  /** The longest life of a connection, in milliseconds, less up to 20 % at random; then it ends as `aged`. Default: 0: no limit. */
  maxAgeMs?: number;
  /**
   * Whether to take the sockets of feeds out of Node's HTTP stack, where that is possible: it saves some 20 KB a connection.
   * Default: true.
   */
  handover?: boolean;
  /**
   * The longest that a shutdown takes to end its feeds, in milliseconds. They are ended one after the other, spread over the first 60 %
   * of it; the rest is for clients to read the end. Default: 10000. 0: all at once, without waiting.
   */
  drainMs?: number;
  /**
   * How long a shutdown goes on as before, but not ready any more, so that load balancers send new clients elsewhere, in milliseconds.
   * It is a part of the drain time. Default: 0.
   */
  lameDuckMs?: number;
  /** The most bytes that a message published over HTTP may have; a larger one is answered with 413. Default: 65536. */
  bodyBytes?: number;
  /**
   * What keeps messages and carries them between processes: `redisBroker()` of `nestjs-feed/redis`, `natsBroker()` of
   * `nestjs-feed/nats`. Default: this process's memory, for this process alone.
   */
  broker?: BrokerFactory;
  /** What this process is called among those that share a broker, each by another name. Default: `<host name>-<process id>`. */
  nodeName?: string;
  /** How many messages of each feed are kept for those who come back. Default: 100. 0: none. */
  historyLength?: number;
  /** How long a message is kept, in milliseconds. Default: 300000. */
  historyTtlMs?: number;
  /** Bytes that are kept of each feed; a message counts with its data's bytes and 512 more. Default: 1048576. */
  historyBytes?: number;
  /** Bytes that are kept of all feeds together; beyond, the oldest messages go first. Default: 134217728. */
  historyTotalBytes?: number;
  /**
   * How feeds behave, by pattern: an id, or the beginning of one and a `*`. The most particular that matches counts.
   * Default: `{}`. Example: `{ 'prices/*': { replay: 'latest', conflate: true } }`.
   */
  rules?: FeedRules;
}

/** Where the module's own route is and who sees the module; given beside the options, in `forRootAsync` beside the factory. */
export interface FeedModuleExtras {
  /** Path of the built-in route, `GET <path>/:id`. Default: `feeds`. `false`: no built-in route, only `@Feed()` ones. */
  path?: string | false;
  /** Whether `FeedService` and `@Feed()` work in every module without importing this one. Default: true. */
  isGlobal?: boolean;
  /** Who guards the built-in routes, in the place of `FeedAuthGuard`. Default: `[FeedAuthGuard]`. */
  guards?: readonly (CanActivate | Type<CanActivate>)[];
}

/** The options with every default filled in. */
export interface ResolvedFeedOptions extends HistoryBounds, RegistryOptions, ResolvedAuthOptions, ResolvedLimitOptions {
  readonly source: FeedSource | undefined;
  /** Whether the source is the application's, which may give ids of its own. */
  readonly sourceHasIds: boolean;
  readonly maxConnections: number;
  readonly handover: boolean;
  readonly drainMs: number;
  readonly lameDuckMs: number;
  readonly bodyBytes: number;
  readonly broker: BrokerFactory;
  readonly nodeName: string;
  readonly rules: FeedRules;
}

const count = (unit: string, least: number) =>
  v.pipe(
    v.number(`must be a whole number of ${unit}`),
    v.safeInteger(`must be a whole number of ${unit}`),
    v.minValue(least, `must be ${least} or more ${unit}`),
  );

/** A timer's longest delay is 2³¹ − 1 ms: beyond it Node falls back to 1 ms. */
const duration = v.pipe(count('milliseconds', 0), v.maxValue(2 ** 31 - 1, 'must be 2147483647 or fewer milliseconds'));

/** What each option may be. The service's environment is checked against the same rules. */
export const feedOptionRules = {
  source: v.custom<FeedSource>((value) => typeof value === 'function', 'must be a function that returns an Observable'),
  intervalMs: duration,
  maxConnections: count('connections', 0),
  bufferBytes: count('bytes', 1024),
  totalBufferBytes: count('bytes', 0),
  heartbeatMs: duration,
  stallMs: duration,
  maxAgeMs: duration,
  handover: v.boolean('must be true or false'),
  drainMs: duration,
  lameDuckMs: duration,
  bodyBytes: count('bytes', 1),
  broker: v.custom<BrokerFactory>((value) => typeof value === 'function', 'must be what redisBroker() or natsBroker() returns'),
  nodeName: v.pipe(
    v.string('must be a string'),
    v.regex(/^[\x21-\x7e]{1,100}$/, 'must be 1 to 100 visible ASCII characters without spaces'),
  ),
  historyLength: count('messages', 0),
  historyTtlMs: v.pipe(duration, v.minValue(1, 'must be 1 or more milliseconds')),
  historyBytes: count('bytes', 0),
  historyTotalBytes: count('bytes', 0),
  rules: v.record(
    v.pipe(
      v.string(),
      v.regex(/^[\w.~:@/-]*\*?$/, `must have patterns for names: ${feedPatternRule}`),
      v.nonEmpty(`must have patterns for names: ${feedPatternRule}`),
    ),
    v.strictObject(
      {
        replay: v.optional(v.literal('latest', "must be 'latest' where it is given")),
        conflate: v.optional(v.boolean('must be true or false')),
      },
      "must be { replay?: 'latest', conflate?: boolean }",
    ),
    'must be rules by pattern',
  ),
  ...authOptionRules,
  ...limitOptionRules,
};

const schema = v.strictObject(v.entriesFromObjects([v.partial(v.object(feedOptionRules))]));

/**
 * Checks the options and fills in the defaults; an option that is `undefined` gets its default.
 *
 * @throws FeedOptionsError naming the option, what it was and what is allowed
 */
export function resolveFeedOptions(options: FeedOptions): ResolvedFeedOptions {
  const result = v.safeParse(schema, options);
  if (!result.success) throw FeedOptionsError.from(result.issues, Object.keys(feedOptionRules));
  const { source, intervalMs = 1000, maxConnections, bufferBytes, handover, drainMs = 10_000, lameDuckMs = 0, ...more } = result.output;
  if (lameDuckMs > drainMs) {
    const message = `FeedModule's option "lameDuckMs" is a part of the drain time: it must be ${drainMs} ("drainMs") or fewer milliseconds, not ${lameDuckMs}`;
    throw new FeedOptionsError(message, 'lameDuckMs');
  }
  return {
    ...resolveAuthOptions(more),
    ...resolveLimitOptions(more),
    sourceHasIds: source !== undefined,
    source: source ?? (intervalMs > 0 ? intervalSource(intervalMs) : undefined),
    maxConnections: (maxConnections ?? openFilesForFeeds()) || Number.POSITIVE_INFINITY,
    bufferBytes: bufferBytes ?? 65_536,
    totalBufferBytes: more.totalBufferBytes ?? 268_435_456,
    heartbeatMs: more.heartbeatMs ?? 25_000,
    stallMs: more.stallMs ?? 30_000,
    maxAgeMs: more.maxAgeMs ?? 0,
    handover: handover ?? true,
    drainMs,
    lameDuckMs,
    bodyBytes: more.bodyBytes ?? 65_536,
    broker: more.broker ?? ((context) => new MemoryBroker(context)),
    nodeName: more.nodeName ?? `${hostname()}-${process.pid}`,
    historyLength: more.historyLength ?? 100,
    historyTtlMs: more.historyTtlMs ?? 300_000,
    historyBytes: more.historyBytes ?? 1_048_576,
    historyTotalBytes: more.historyTotalBytes ?? 134_217_728,
    rules: more.rules ?? {},
  };
}

/** The descriptors that feeds may take: all that the process may open but a reserve. */
function openFilesForFeeds(): number {
  const limit = openFileLimit();
  return Math.max(1, Math.floor(limit - reserveOf(limit)));
}
