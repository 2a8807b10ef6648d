import { badQuery, checkWhole, numberOf } from '../errors/query-rules.js';
import type { Start } from '../message/position.js';
import { historyRange } from '../pubsub/history.js';
import type { FeedRequest } from './feed-request.js';

/** How a request wants to be answered in JSON, instead of by a stream: `once` with history, by `poll` as soon as there is a message. */
export type Mode = (typeof modes)[number];
const modes = ['once', 'poll'] as const;

/** How long a poll waits unless it says so, and the longest that it may, in seconds. */
const [defaultWait, longestWait] = [25, 60];

/** What a request asks for that is answered in JSON. */
export interface HistoryRequest {
  readonly mode: Mode;
  /** Default: of a poll the end, otherwise with the oldest message stored. */
  readonly startOf: (feed: string) => Start;
  /** The most messages. */
  readonly limit: number;
  /** How long a poll waits, in milliseconds. */
  readonly waitMs: number;
}

/**
 * Reads what a request asks for with `?mode=`: where to begin (`Last-Event-ID`, `since` or `last`), how many messages (`limit`), and how many
 * seconds to wait (`wait`). What goes with the other kind of answer is not ignored.
 *
 * @returns undefined where it asks for a stream
 * @throws FeedException FEED_QUERY, FEED_SINCE (400)
 */
export function historyRequest(request: FeedRequest, feeds: readonly string[]): HistoryRequest | undefined {
  const { query } = request;
  if (query.size === 0) return undefined;
  const refuse = (names: readonly string[], rule: string) => {
    const found = names.find((name) => query.has(name));
    if (found !== undefined) throw badQuery(`${found} goes ${rule}`);
  };
  if (query.getAll('id').some((id) => !feeds.includes(id))) throw badQuery('The path names the feed: give id without it, for several.');
  const given = request.parameter('mode');
  if (given === undefined) {
    refuse(['last', 'limit', 'wait'], 'with mode=once or mode=poll; a stream begins with the last 20 messages by since=-20.');
    return undefined;
  }
  const mode = modes.find((known) => known === given);
  if (!mode) throw badQuery(`mode is ${modes.join(' or ')}; without it, the answer is a stream.`);
  refuse(['format', 'marks'], 'with a stream: with mode the answer is JSON.');
  if (mode === 'once') refuse(['wait'], 'with mode=poll.');
  const wait = numberOf(request.parameter('wait')) ?? defaultWait;
  checkWhole('wait', wait, 1, longestWait);
  const last = numberOf(request.parameter('last'));
  const since = last === undefined ? undefined : (query.get('since') ?? undefined);
  const { start, limit } = historyRange({ since, last, limit: numberOf(request.parameter('limit')) });
  const startOf = last === undefined ? request.startOf(feeds, false) : undefined;
  const otherwise = mode === 'poll' && last === undefined ? 'end' : start;
  return { mode, startOf: (feed) => startOf?.(feed) ?? otherwise, limit, waitMs: wait * 1000 };
}
