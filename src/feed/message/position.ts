import { FeedException } from '../errors/feed-exception.js';

/**
 * A place between two messages: after the one with this offset. All feeds of a broker share its offsets, so that one position says
 * how far a connection has come on each feed that it follows.
 */
export interface Position {
  readonly epoch: string;
  readonly offset: number;
}

/** Where to begin on a feed: after a position, with the oldest message stored, with the newest one or the last few, or at the `end`. */
export type Start = Position | { readonly last: number } | 'earliest' | 'newest' | 'end';

/** Whether a start is a position. */
export function isPosition(start: Start): start is Position {
  return typeof start === 'object' && 'offset' in start;
}

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

/**
 * Reads what `since` says: a position, `earliest`, or `latest` for the end.
 *
 * @throws FeedException FEED_SINCE (400)
 */
export function parseSince(since: string): Start {
  if (since === 'earliest') return 'earliest';
  if (since === 'latest') return 'end';
  const position = parsePosition(since);
  if (!position) throw new FeedException('FEED_SINCE');
  return position;
}
