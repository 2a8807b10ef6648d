import type { Broker } from '../broker/broker.js';
import { badQuery, checkWhole } from '../errors/query-rules.js';
import { type FeedEnd, isEnd } from '../message/end.js';
import { type FeedMessage, type StoredMessage, toFeedMessage } from '../message/message.js';
import { formatPosition, mostLast, type Position, parseSince, type Start } from '../message/position.js';
import { Replay } from './replay.js';
import { Mark } from './replay-item.js';

/** How many messages one answer has at most, and unless it is asked for fewer. */
export const mostMessages = 1000;
/** How many bytes their texts have together, the last of them apart. */
const mostBytes = 2 ** 20;

/** What to read of a feed's history. */
export interface HistoryOptions {
  /**
   * Where to begin: a message id or a position, `earliest`, `latest`, `-20` for the last twenty messages, or a time (RFC 3339). Default:
   * `earliest`; with `reverse` the last messages, as many as `limit` says.
   */
  readonly since?: string | undefined;
  /** How many of the last messages to read, 1 to 1000; it excludes `since`. */
  readonly last?: number | undefined;
  /** The most messages, 1 to 1000. Default: 1000. */
  readonly limit?: number | undefined;
  /** Whether the newest message comes first. Default: false. */
  readonly reverse?: boolean | undefined;
}

/** What a broker stores of feeds, as an answer. */
export interface FeedHistory<Message = FeedMessage> {
  /** In order, the end of a feed among them. */
  readonly messages: Message[];
  /** Where to go on from: behind the last of the messages, or later where no more are stored. */
  readonly position: string;
  /** Present where messages after `since` are gone. */
  readonly reset?: true;
  /** How the feed has ended, where nothing will come behind the messages. */
  readonly ended?: FeedEnd;
}

/** The same before it is encoded. */
export interface HistoryPage {
  readonly messages: readonly StoredMessage[];
  readonly position: Position;
  readonly isReset: boolean;
  /** Whether it begins with the oldest messages stored, and older ones are gone. */
  readonly isCut: boolean;
  /** Where all feeds have ended: how the last of them did. */
  readonly ended: FeedEnd | undefined;
}

/**
 * Checks what is asked for.
 *
 * @throws FeedException FEED_SINCE, FEED_QUERY (400)
 */
export function historyRange({ since, last, limit = mostMessages, reverse }: HistoryOptions): { start: Start; limit: number } {
  checkWhole('limit', limit, 1, mostMessages);
  if (last === undefined) return { start: since === undefined ? (reverse ? { last: limit } : 'earliest') : parseSince(since), limit };
  if (since !== undefined) throw badQuery('Give since or last, not both.');
  checkWhole('last', last, 1, mostLast);
  return { start: { last }, limit };
}

/** The history of a feed for the application. */
export async function historyOf(broker: Broker, feed: string, options: HistoryOptions): Promise<FeedHistory> {
  const { start, limit } = historyRange(options);
  const { messages, position, isReset, ended } = await readHistory(broker, [feed], () => start, limit);
  const all = messages.map(toFeedMessage);
  return {
    messages: options.reverse ? all.reverse() : all,
    position: formatPosition(position),
    ...(isReset && { reset: true }),
    ...(ended && { ended }),
  };
}

/**
 * Reads what is stored of some feeds from a start of each on, in the order of their messages, as far as the limits allow.
 *
 * @throws what the broker fails with
 */
export async function readHistory(
  broker: Broker,
  feeds: readonly string[],
  startOf: (feed: string) => Start,
  limit: number,
): Promise<HistoryPage> {
  const replay = await Replay.open(broker, { feeds, startOf, isResumed: true, pageBytes: mostBytes });
  const messages: StoredMessage[] = [];
  let isReset = false;
  for (let bytes = 0; messages.length < limit && bytes < mostBytes && !replay.isDone; ) {
    const item = replay.take();
    if (item === undefined) await replay.read();
    else if (item instanceof Mark) continue;
    else if ('offset' in item) {
      messages.push(item);
      bytes += Buffer.byteLength(item.text);
    } else isReset = true;
  }
  const { epoch } = replay.start;
  const { isDone, isCut, end, endedFeeds } = replay;
  const position = isDone ? { epoch, offset: end } : (messages.at(-1) as StoredMessage);
  return { messages, position, isReset, isCut, ended: isDone ? await endOf(broker, feeds, endedFeeds, messages) : undefined };
}

/** The position of some feeds at this moment: behind all that has been published to them. */
export async function positionOf(broker: Broker, feeds: readonly string[]): Promise<Position> {
  const all = await Promise.all((feeds.length > 0 ? feeds : ['']).map((feed) => broker.read(feed, 'end', 0)));
  return all
    .map(({ after: { epoch }, end }) => ({ epoch, offset: end }))
    .reduce((least, position) => (position.offset < least.offset ? position : least));
}

/**
 * How the last of some feeds has ended; undefined where one has not.
 *
 * @param endedFeeds the feeds whose end comes before what was read
 */
async function endOf(
  broker: Broker,
  feeds: readonly string[],
  endedFeeds: readonly string[],
  messages: readonly StoredMessage[],
): Promise<FeedEnd | undefined> {
  const ends = messages.filter(isEnd);
  const ended = new Set([...endedFeeds, ...ends.map(({ feed }) => feed)]);
  if (!feeds.every((feed) => ended.has(feed))) return undefined;
  const before = ends.length > 0 ? [] : await Promise.all(endedFeeds.map((feed) => broker.read(feed, 'end', 0)));
  const [last] = [...ends, ...before.flatMap((page) => page.messages)].sort((a, b) => b.offset - a.offset);
  return last && (JSON.parse(last.text) as FeedEnd);
}
