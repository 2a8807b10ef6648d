import { hash } from 'node:crypto';
import { isEnd } from '../../message/end.js';
import type { StoredMessage } from '../../message/message.js';
import { isPosition, type Position, type Start } from '../../message/position.js';
import { boundsOf, type HistoryBounds } from '../history-bounds.js';
import { parse } from './redis-message.js';

/** How many feeds are read with one command. */
export const readAtOnce = 100;
/** How many bytes one command may return, unless a single message is larger. */
export const readBytes = 2 ** 19;

/** What is read of a feed's stream. */
export interface ReadOptions {
  readonly feed: string;
  readonly start: Start;
  /** The last offset to read. Default: no bound. */
  readonly upTo?: number | undefined;
  /** Default: as many bytes as one reply may have. */
  readonly limitBytes?: number;
}

/** A page of a feed's stream. */
export interface Page extends Position {
  /** Whether the start is a position that Redis has given and still has. */
  readonly isKnown: boolean;
  /** The offset up to which messages are gone, … */
  readonly trimmed: number;
  /** … or, where this is false, may be gone. */
  readonly isExact: boolean;
  /** The offset of the last message of the page, where more messages follow. */
  readonly moreAfter: number | undefined;
  readonly messages: readonly StoredMessage[];
  /** Whether the feed has ended. */
  readonly isEnded: boolean;
}

/** A page as the script returns it; 0 where it found no room. */
type PageReply = [isKnown: number, trimmed: string, isExact: number, moreAfter: string, messages: string[], isEnded?: number] | 0;

/** The script's reply: epoch, offset of the newest message of all feeds, and pages. */
export type PagesReply = [epoch: string, offset: string, pages: PageReply[]];

/** Whether a stream is looked at; the options without a feed ask for the position alone. */
const isOfStream = ({ feed }: ReadOptions) => feed !== '';

/** The feeds whose streams are read, and what the script needs to know of each. */
export function requestOf(options: readonly ReadOptions[], bounds: HistoryBounds): { feeds: string[]; values: (string | number)[] } {
  const some = options.filter(isOfStream);
  const values = some.flatMap(({ feed, start, upTo = '+', limitBytes = readBytes }) => {
    const { historyTtlMs, keepNewest } = boundsOf(bounds, feed);
    return [...slotOf(feed), ...startValues(start), upTo, Math.min(limitBytes, readBytes), historyTtlMs * 1000, keepNewest ? 1 : 0];
  });
  return { feeds: some.map(({ feed }) => feed), values };
}

/** A start as the script takes it. A time is an offset of any epoch. */
function startValues(start: Start): [string | number, string | number] {
  if (typeof start === 'string') return [start, ''];
  if ('last' in start) return ['last', start.last];
  return [offsetOf(start) as number, isPosition(start) ? start.epoch : '*'];
}

/** The offset after which a reader begins; undefined where the start does not say. */
export function offsetOf(start: Start): number | undefined {
  if (typeof start === 'string' || 'last' in start) return undefined;
  return 'time' in start ? Math.max(0, start.time * 1000 - 1) : start.offset;
}

/** What was read for each of the options; undefined where it found no room. */
export function pagesOf(options: readonly ReadOptions[], [epoch, newest, pages]: PagesReply): (Page | undefined)[] {
  const offset = Number(newest);
  let next = 0;
  return options.map((option) => {
    // Literals, since objects that are made of others cost as much as all else that is made for a connection here.
    if (!isOfStream(option))
      return { epoch, offset, isKnown: true, trimmed: 0, isExact: true, moreAfter: undefined, messages: [], isEnded: false };
    const page = pages[next++] as PageReply;
    if (page === 0) return undefined;
    const [isKnown, trimmed, isExact, moreAfter, found, isEnded] = page;
    const messages = found.flatMap((message) => parse(option.feed, message, epoch)?.message ?? []);
    return {
      epoch,
      offset,
      isKnown: isKnown === 1,
      trimmed: Number(trimmed),
      isExact: isExact === 1,
      moreAfter: moreAfter === '' ? undefined : Number(moreAfter),
      messages,
      isEnded: isEnded === 1 || (moreAfter === '' && isEnd(messages.at(-1))),
    };
  });
}

/** Where the state has the feed's last offset, and what tells the feed from others there. */
export function slotOf(feed: string): [slot: number, check: string] {
  const digest = hash('sha1', feed);
  return [Number.parseInt(digest.slice(0, 4), 16), digest.slice(4, 12)];
}
