import { FeedException } from '../errors/feed-exception.js';

/**
 * A place between two messages: after the one with this offset. All feeds of a broker share its offsets, so that one position says
 * how far a connection has come on each feed that it follows.
 */
export interface Position {
  readonly epoch: string;
  readonly offset: number;
}

/**
 * Where to begin on a feed: after a position, with the `last` so many messages stored, with the first that was stored at or after a `time`
 * (in milliseconds since 1970), with the oldest one stored, with the newest one, or at the `end`.
 */
export type Start = Position | { readonly last: number } | { readonly time: number } | 'earliest' | 'newest' | 'end';

/** Where a reader wants to begin on a feed; undefined where it does not say: it begins with the next message, and what the feed's rule replays. */
export type StartOf = (feed: string) => Start | undefined;

/** How many of the last messages can be asked for. */
export const mostLast = 1000;

/** What `since` may be, as errors state it. */
const sinceRule = `a message id, earliest or latest, -1 to -${mostLast} for the last messages, or a time such as 2026-01-31T08:00:00Z`;

/** A position that no broker has ever given. */
export const nowhere: Position = { epoch: '', offset: 0 };

export function formatPosition({ epoch, offset }: Position): string {
  return `${epoch}-${offset}`;
}

/** Reads a position, or the id of a message, which is its position, a slash and its feed. */
export function parsePosition(text: string): Position | undefined {
  const parts = /^([a-z0-9]{1,32})-(\d{1,16})(?:\/|$)/.exec(text);
  return parts ? { epoch: parts[1] as string, offset: Number(parts[2]) } : undefined;
}

/** Whether a start is a position. */
export function isPosition(start: Start): start is Position {
  return typeof start === 'object' && 'epoch' in start;
}

/**
 * Reads what `since` says: a position, `earliest`, `latest` for the end, `-20` for the last twenty messages, or a time (RFC 3339).
 *
 * @throws FeedException FEED_SINCE (400)
 */
export function parseSince(since: string): Start {
  if (since === 'earliest') return 'earliest';
  if (since === 'latest') return 'end';
  const start = parsePosition(since) ?? parseLast(since) ?? parseTime(since);
  if (start === undefined) throw invalid(`since must be ${sinceRule}.`);
  return start;
}

/**
 * Reads a `since` that was given once, for all feeds, or several times: then `<since>/<feed>` is for that feed, the other one for the rest.
 * `new` says nothing, for a feed beside others that do.
 *
 * @throws FeedException FEED_SINCE (400)
 */
export function parseStarts(all: readonly string[], feeds: readonly string[]): StartOf {
  const [only = 'new'] = all;
  if (all.length <= 1) return constantly(parseStart(only));
  const starts = new Map<string | undefined, Start | undefined>();
  for (const since of all) {
    const [, start = since, feed] = /^([^/]*)\/(.*)$/.exec(since) ?? [];
    if (starts.has(feed)) throw invalid(`since says twice where to begin on ${feed === undefined ? 'all feeds' : `the feed "${feed}"`}.`);
    if (feed !== undefined && !feeds.includes(feed)) throw invalid(`since names the feed "${feed}", which is not among those asked for.`);
    starts.set(feed, parseStart(start));
  }
  return (feed) => starts.get(starts.has(feed) ? feed : undefined);
}

function constantly(start: Start | undefined): StartOf {
  return () => start;
}

function parseStart(since: string): Start | undefined {
  return since === 'new' ? undefined : parseSince(since);
}

function invalid(message: string): FeedException {
  return new FeedException('FEED_SINCE', { message });
}

function parseLast(since: string): Start | undefined {
  const last = /^-[1-9]\d{0,3}$/.test(since) ? Number(since.slice(1)) : 0;
  return last > 0 && last <= mostLast ? { last } : undefined;
}

function parseTime(since: string): Start | undefined {
  const time = timeIn(since);
  return time === undefined ? undefined : { time };
}

/** The milliseconds since 1970 that a text of RFC 3339 means. JavaScript takes February 30 for March 2. */
export function timeIn(text: string): number | undefined {
  const date = /^(\d{4})-(\d\d)-(\d\d)T\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)$/i.exec(text);
  const time = date ? Date.parse(text) : Number.NaN;
  const [, year, month, day] = date ?? [];
  return Number.isNaN(time) || new Date(`${year}-${month}-${day}`).getUTCDate() !== Number(day) ? undefined : time;
}
