import { hostname } from 'node:os';
import type { CanActivate, Type } from '@nestjs/common';
import * as v from 'valibot';
import { type AuthOptions, authOptionRules, type ResolvedAuthOptions, resolveAuthOptions } from './auth/auth.options.js';
import { usedMs } from './auth/tickets.js';
import type { BrokerFactory } from './broker/broker.js';
import { MemoryBroker } from './broker/memory/memory-broker.js';
import { nodeNameForm } from './cluster/node-message.js';
import { longestStored } from './coding/gzip.js';
import { type ConnectionLog, connectionLogs } from './connection/connection-log.js';
import { FeedOptionsError } from './errors/feed-options.error.js';
import { checkOptions, milliseconds, wholeNumber } from './errors/option-rules.js';
import { type LimitOptions, limitOptionRules, type ResolvedLimitOptions, resolveLimitOptions } from './limits/limit.options.js';
import { roomForFeeds } from './limits/open-files.js';
import type { FeedDescription } from './message/feed-definition.js';
import { feedPatternRule, isFeedPattern } from './message/feed-id.js';
import { Definitions } from './pubsub/definitions.js';
import { checkRules, feedRuleEntries } from './pubsub/rule.options.js';
import { type FeedRules, RuleSet } from './pubsub/rules.js';
import { intervalSource } from './source/interval-source.js';
import type { FeedSource } from './source/source.js';
import type { FeedTracer } from './tracing/feed-tracer.js';

/** Injects the resolved options. */
export const FEED_OPTIONS = Symbol('FEED_OPTIONS');

/** The options of `FeedModule`. */
export interface FeedOptions extends AuthOptions, LimitOptions {
  /** Makes the items of each connection on the built-in route, beside the messages of its feeds. Default: none. It excludes `intervalMs`. */
  source?: FeedSource;
  /**
   * Gives each connection on the built-in route a source: a greeting, then a numbered chunk in this period, in milliseconds. Default: 0:
   * no such source.
   */
  intervalMs?: number;
  /**
   * The most connections that may be open at once; one more gets 503 with `Retry-After`. Default: the process's limit on open files, less
   * a twentieth (at least 64) for other work. 0: no limit.
   */
  maxConnections?: number;
  /**
   * The longest that a request for a feed may wait to be opened while requests come faster than that, in milliseconds; one that would wait
   * longer gets 503 with `Retry-After` at once. It applies to sockets that can be handed over. Default: 0: no bound.
   */
  maxOpenDelayMs?: number;
  /**
   * The most unsent bytes of one connection, in its transport and in its send queue, each; beyond, it ends as `slow`. Over TLS, HTTP/2 and
   * responses that are not handed over, one turn of the event loop may bring 16 times as much; of a conflated feed, one message waits
   * whatever its size. Default: 65536.
   */
  bufferBytes?: number;
  /** The most unsent bytes of all connections together; beyond, the one that holds most ends as `slow`. Default: 268435456. 0: no bound. */
  totalBufferBytes?: number;
  /** Silence after which a connection gets a heartbeat, in milliseconds. Default: 25000. 0: no heartbeats. */
  heartbeatMs?: number;
  /** The longest that bytes may wait for a client without progress, in milliseconds; then it ends as `stalled`. Default: 30000. 0: no bound. */
  stallMs?: number;
  /** The longest life of a connection, in milliseconds, less up to 20 % at random; then it ends as `aged`. Default: 0: no limit. */
  maxAgeMs?: number;
  /** Whether the sockets of feeds are taken out of Node's HTTP stack where possible, which saves some 20 KB a connection. Default: true. */
  handover?: boolean;
  /**
   * Compresses feeds with gzip for clients that accept it: each message once for all of its connections, none of which has a compressor.
   * Default: none is compressed.
   */
  compress?: {
    /**
     * The least bytes of a message that is compressed; shorter ones are sent as they are. A message takes some 30 µs for 1 KB, in the
     * event loop. Default: 256. At most 65535.
     */
    minBytes?: number;
  };
  /**
   * The longest that a shutdown takes to end its feeds, in milliseconds. They end one after the other, spread over the first 60 % of it; the
   * rest is for clients to read the end. Default: 10000. 0: all at once, without waiting.
   */
  drainMs?: number;
  /**
   * The part of the drain time in which the service goes on as before, but is not ready any more, so that load balancers send new clients
   * elsewhere, in milliseconds. Default: 0: none.
   */
  lameDuckMs?: number;
  /**
   * Converts published data into what is sent. It is called once for each `publish()` and `publishMany()`, however many subscribers the
   * feed has. What it throws, they throw. Default: the data as it is. Example: `instanceToPlain` of class-transformer.
   */
  serialize?: (data: unknown) => unknown;
  /**
   * The most bytes of a message published over HTTP; a larger one gets 413. JSON is parsed at once: 12 MB can hold up all connections for
   * 3 s. Default: 65536.
   */
  bodyBytes?: number;
  /**
   * Stores messages and carries them between processes: `redisBroker()` of `nestjs-feed/redis`, `natsBroker()` of `nestjs-feed/nats`, or
   * your own. Default: `memory`: that of this process, for this process alone.
   */
  broker?: 'memory' | BrokerFactory;
  /** Records traces of what is published, delivered and opened: `otelTracer()` of `nestjs-feed/otel`, or your own. Default: none. */
  tracer?: FeedTracer;
  /**
   * Whether nodes tell each other who follows feeds, so that one of them tells when the first comes and the last leaves (`occupied` and
   * `vacated` of `events$`), and which connections a lost node had. A rule may say otherwise for some feeds. A node then holds some 200
   * bytes for each of its connections, and 110 for each of another node. Default: false.
   */
  presence?: boolean;
  /** The name of this process among those that share a broker; each has another one. Default: `<host name>-<process id>`. */
  nodeName?: string;
  /**
   * Which connections have a line in the log when they end: `none`; `abnormal`: those that ended as `slow`, `stalled`, `error`,
   * `disconnected` or `revoked`; or `all`. Default: `none`.
   */
  logConnections?: ConnectionLog;
  /** The most messages stored of each feed. Default: 100. 0: none. */
  historyLength?: number;
  /** How long a message is stored, in milliseconds. Default: 300000. */
  historyTtlMs?: number;
  /** The most bytes stored of each feed; a message counts as its text and its names, and 512 bytes more. Default: 1048576. */
  historyBytes?: number;
  /** The most bytes stored of all feeds together; beyond, the oldest messages are dropped. Default: 134217728. */
  historyTotalBytes?: number;
  /**
   * How long the key of a publication is known, in milliseconds: a publication that is repeated within that time is stored once. A key takes
   * some 300 bytes. Default: 300000.
   */
  idempotencyMs?: number;
  /**
   * How feeds behave, by pattern: an id, or the beginning of one and a `*`. The most specific pattern that matches applies, and no other.
   * Default: `{}`. Example: `{ 'prices/*': { replay: 'newest', keepNewest: true, conflate: true } }`.
   */
  rules?: FeedRules;
  /**
   * Definitions of feeds, as `defineFeed()` makes them. What is published to a feed that one of them matches is checked by it. Default: `[]`:
   * nothing is checked.
   */
  feeds?: readonly FeedDescription[];
}

/** Where the built-in routes are and which modules see this one. In `forRootAsync()` they stand next to the factory. */
export interface FeedModuleExtras {
  /** Path of the built-in routes: `GET <path>/:id` follows a feed, `POST <path>/:id` publishes to it. Default: no built-in routes. */
  path?: string;
  /** Guards of the built-in routes. Default: `[FeedAuthGuard]`. */
  guards?: readonly (CanActivate | Type<CanActivate>)[];
  /**
   * Issues one-time tickets for clients that cannot set headers, such as `EventSource`: `POST /tickets`, or `POST` on this path. It needs
   * `jwtSecret` or `ticketSecret`. Default: false: no tickets.
   */
  tickets?: boolean | string;
  /** Put on the controllers of the built-in routes, such as the one with which a global guard knows public routes. Default: `[]`. */
  decorators?: readonly ClassDecorator[];
  /** Whether `FeedService` and `@Feed()` work in every module without importing this one. Default: true. */
  isGlobal?: boolean;
}

const memoryBroker: BrokerFactory = (context) => new MemoryBroker(context);

/** What each option may be, and its default. The service's environment is checked against the same rules. */
export const feedOptionRules = {
  source: v.optional(v.custom<FeedSource>((value) => typeof value === 'function', 'must be a function that returns an Observable')),
  intervalMs: v.optional(milliseconds(), 0),
  maxConnections: v.optional(wholeNumber('connections')),
  maxOpenDelayMs: v.optional(milliseconds(), 0),
  bufferBytes: v.optional(wholeNumber('bytes', 1024), 65_536),
  totalBufferBytes: v.optional(wholeNumber('bytes'), 268_435_456),
  heartbeatMs: v.optional(milliseconds(), 25_000),
  stallMs: v.optional(milliseconds(), 30_000),
  maxAgeMs: v.optional(milliseconds(), 0),
  handover: v.optional(v.boolean('must be true or false'), true),
  compress: v.optional(
    v.strictObject({ minBytes: v.optional(wholeNumber('bytes', 0, longestStored), 256) }, 'must be { minBytes }, or {} for its default'),
  ),
  drainMs: v.optional(milliseconds(), 10_000),
  lameDuckMs: v.optional(milliseconds(), 0),
  serialize: v.optional(
    v.custom<(data: unknown) => unknown>((value) => typeof value === 'function', 'must be a function that returns what is to be sent'),
  ),
  bodyBytes: v.optional(wholeNumber('bytes', 1), 65_536),
  broker: v.optional(
    v.pipe(
      v.custom<'memory' | BrokerFactory>(
        (value) => value === 'memory' || typeof value === 'function',
        "must be 'memory', or a function such as redisBroker() and natsBroker() return",
      ),
      v.transform((broker) => (broker === 'memory' ? memoryBroker : broker)),
    ),
    'memory',
  ),
  tracer: v.optional(v.custom<FeedTracer>(isTracer, 'must be what otelTracer() of nestjs-feed/otel returns, or another FeedTracer')),
  presence: v.optional(v.boolean('must be true or false'), false),
  nodeName: v.optional(
    v.pipe(v.string('must be a string'), v.regex(nodeNameForm, 'must be 1 to 100 visible ASCII characters without spaces')),
    `${hostname()}-${process.pid}`,
  ),
  logConnections: v.optional(v.picklist(connectionLogs, 'must be none, abnormal or all'), 'none'),
  historyLength: v.optional(wholeNumber('messages'), 100),
  historyTtlMs: v.optional(milliseconds(1), 300_000),
  historyBytes: v.optional(wholeNumber('bytes'), 1_048_576),
  historyTotalBytes: v.optional(wholeNumber('bytes'), 134_217_728),
  idempotencyMs: v.optional(milliseconds(1), 300_000),
  rules: v.optional(
    v.record(
      v.pipe(v.string(), v.check(isFeedPattern, `must have patterns for names: ${feedPatternRule}`)),
      v.strictObject(feedRuleEntries, `must be a rule, which may have ${Object.keys(feedRuleEntries).join(', ')}`),
      'must be rules by pattern',
    ),
    {},
  ),
  feeds: v.optional(
    v.array(v.custom<FeedDescription>(isDefinition, 'must be what defineFeed() returns'), 'must be an array of definitions'),
    [],
  ),
  ...v.partial(v.object({ ...authOptionRules, ...limitOptionRules })).entries,
};

type OwnOptions = Readonly<
  Omit<ReturnType<typeof checkOptions<typeof feedOptionRules>>, keyof AuthOptions | keyof LimitOptions | 'rules' | 'feeds'>
>;

/** The options with every default filled in; Infinity for no limit. */
export interface ResolvedFeedOptions extends OwnOptions, ResolvedAuthOptions, ResolvedLimitOptions {
  readonly maxConnections: number;
  readonly maxOpenDelayMs: number;
  readonly rules: RuleSet;
  /** Undefined where no feed is defined. */
  readonly feeds: Definitions | undefined;
  /** Whether the source is the application's, which may give ids of its own. */
  readonly sourceHasIds: boolean;
}

/**
 * Checks the options and fills in the defaults; an option that is `undefined` gets its default.
 *
 * @throws FeedOptionsError naming the option, what it was and what is allowed
 */
export function resolveFeedOptions(options: FeedOptions, { path, guards, tickets }: FeedModuleExtras = {}): ResolvedFeedOptions {
  const given = checkOptions('FeedModule', feedOptionRules, options, ['path', 'guards', 'tickets', 'decorators', 'isGlobal']);
  const { source, intervalMs, drainMs, lameDuckMs } = given;
  if (lameDuckMs > drainMs) {
    const message = `FeedModule's option "lameDuckMs" is a part of the drain time: it must be ${drainMs} ("drainMs") or fewer milliseconds, not ${lameDuckMs}`;
    throw new FeedOptionsError(message, 'lameDuckMs');
  }
  if (source !== undefined && intervalMs > 0) {
    throw new FeedOptionsError('FeedModule takes "source" or "intervalMs": give one of the two', 'intervalMs');
  }
  if (path !== undefined && typeof path !== 'string') {
    throw new FeedOptionsError('FeedModule\'s option "path" must be a path, or left out for no built-in routes', 'path');
  }
  checkTickets(tickets, given.idempotencyMs);
  const auth = resolveAuthOptions(given, Boolean(tickets));
  if (path !== undefined && !guards?.length && !auth.public && !hasSecret(auth)) {
    const message = `FeedModule's route "${path}" would have no access control: give it "jwtSecret", "jwksUrl", "authorize", "publishKey" or "guards", or declare it "public: true"`;
    throw new FeedOptionsError(message, 'path');
  }
  checkRules(given.rules, hasSecret(auth) || guards !== undefined);
  const { publishKey: _keys, jwtSecret: _secrets, ticketSecret: _ticketSecrets, ...rest } = given;
  return {
    ...rest,
    ...auth,
    ...resolveLimitOptions(given),
    rules: new RuleSet(given.rules, given),
    feeds: given.feeds.length > 0 ? new Definitions(given.feeds) : undefined,
    sourceHasIds: source !== undefined,
    source: source ?? (intervalMs > 0 ? intervalSource(intervalMs) : undefined),
    maxOpenDelayMs: given.maxOpenDelayMs || Number.POSITIVE_INFINITY,
    maxConnections: (given.maxConnections ?? roomForFeeds()) || Number.POSITIVE_INFINITY,
  };
}

function isDefinition(value: unknown): boolean {
  const { pattern, messages } = (value ?? {}) as Partial<FeedDescription>;
  if (typeof pattern !== 'string' || typeof messages !== 'object' || messages === null) return false;
  return Object.values(messages).every((schema) => typeof schema?.['~standard']?.validate === 'function');
}

function isTracer(value: unknown): boolean {
  const { publish, deliver, open } = (value ?? {}) as Partial<FeedTracer>;
  return [publish, deliver, open].every((method) => typeof method === 'function');
}

function hasSecret({ publishKeys, jwtSecrets, jwksUrl, authorize }: ResolvedAuthOptions): boolean {
  return publishKeys.length > 0 || jwtSecrets.length > 0 || (jwksUrl ?? authorize) !== undefined;
}

/** A broker has to know that a ticket has been used for longer than it is valid. */
function checkTickets(tickets: FeedModuleExtras['tickets'], idempotencyMs: number): void {
  if (tickets !== undefined && typeof tickets !== 'boolean' && (typeof tickets !== 'string' || tickets === '')) {
    throw new FeedOptionsError('FeedModule\'s option "tickets" must be true, or the path of the route that issues them', 'tickets');
  }
  if (!tickets || idempotencyMs >= usedMs) return;
  const message = `FeedModule's option "tickets" needs "idempotencyMs" of ${usedMs} milliseconds or more, for which a used ticket is known`;
  throw new FeedOptionsError(message, 'idempotencyMs');
}
