import * as v from 'valibot';
import { openFileLimit } from './access/open-files.js';
import { FeedOptionsError } from './feed.errors.js';
import { intervalSource } from './source/interval.source.js';
import type { FeedSource } from './source/source.js';

/** The options of `FeedModule`. */
export interface FeedOptions {
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
  /**
   * Whether to take the sockets of feeds out of Node's HTTP stack, where that is possible: it saves some 20 KB a connection.
   * Default: true.
   */
  handover?: boolean;
  /** The longest that a shutdown waits for clients to read the end of their feeds, in milliseconds. Default: 10000. 0: not at all. */
  drainMs?: number;
}

/** Where the module's own route is and who sees the module; given beside the options, in `forRootAsync` beside the factory. */
export interface FeedModuleExtras {
  /** Path of the built-in route, `GET <path>/:id`. Default: `feeds`. `false`: no built-in route, only `@Feed()` ones. */
  path?: string | false;
  /** Whether `FeedService` and `@Feed()` work in every module without importing this one. Default: true. */
  isGlobal?: boolean;
}

/** The options with every default filled in. */
export type ResolvedFeedOptions = Readonly<Required<Omit<FeedOptions, 'intervalMs'>>>;

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
  handover: v.boolean('must be true or false'),
  drainMs: duration,
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
  const { source, intervalMs, maxConnections, bufferBytes, handover, drainMs } = result.output;
  return {
    source: source ?? intervalSource(intervalMs ?? 1000),
    maxConnections: (maxConnections ?? openFilesForFeeds()) || Number.POSITIVE_INFINITY,
    bufferBytes: bufferBytes ?? 65_536,
    handover: handover ?? true,
    drainMs: drainMs ?? 10_000,
  };
}

/** The descriptors that feeds may take: all that the process may open but a reserve. */
function openFilesForFeeds(): number {
  const limit = openFileLimit();
  return Math.max(1, Math.floor(limit - Math.max(64, limit / 20)));
}
