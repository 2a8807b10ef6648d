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
 * seconds to wait (`wait`).
 *
 * @returns undefined where it asks for a stream
 * @throws FeedException FEED_QUERY, FEED_SINCE (400)
 */
export function historyRequest(request: FeedRequest, feeds: readonly string[]): HistoryRequest | undefined {
  const { query } = request;
  const given = query.get('mode');
  if (given === null) return undefined;
  const mode = modes.find((known) => known === given);
  if (!mode) throw badQuery(`mode is ${modes.join(' or ')}; without it, the answer is a stream.`);
  const wait = numberOf(query.get('wait')) ?? defaultWait;
  checkWhole('wait', wait, 1, longestWait);
  const last = numberOf(query.get('last'));
  const since = last === undefined ? undefined : (query.get('since') ?? undefined);
  const { start, limit } = historyRange({ since, last, limit: numberOf(query.get('limit')) });
  const startOf = last === undefined ? request.startOf(feeds, false) : undefined;
  const otherwise = mode === 'poll' && last === undefined ? 'end' : start;
  return { mode, startOf: (feed) => startOf?.(feed) ?? otherwise, limit, waitMs: wait * 1000 };
}
