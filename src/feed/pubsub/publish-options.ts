import type { PublishConditions } from '../broker/broker.js';
import { FeedException } from '../errors/feed-exception.js';
import { type Position, parsePosition } from '../message/position.js';

/** How a message is published. */
export interface PublishOptions {
  /** The kind of message: the `event` field of a server-sent event. */
  readonly type?: string | undefined;
  /**
   * Makes the publication one that can be repeated, as after a 503: 1 to 200 characters. Within `idempotencyMs` (5 minutes) another one with
   * this key on this feed is answered with the first message, and is not stored. Default: none.
   */
  readonly key?: string | undefined;
  /** The position, or the message id, after which the feed must have no message. Default: it may have any. */
  readonly expected?: string | undefined;
}

/** The longest key of a publication, in characters. */
const longestKey = 200;
/** Those of C0 and C1, and DEL (Unicode's general category Cc). */
const controls = /\p{Cc}/u;

/**
 * The conditions of a publication; undefined where it has none.
 *
 * @throws FeedException FEED_MESSAGE (400) where one of them is not what it may be
 */
export function conditionsOf({ key, expected }: PublishOptions): PublishConditions | undefined {
  if (key === undefined && expected === undefined) return undefined;
  return { key: key === undefined ? undefined : checkKey(key), expected: expected === undefined ? undefined : parseExpected(expected) };
}

function checkKey(key: unknown): string {
  if (typeof key === 'string' && key.length >= 1 && key.length <= longestKey && key.isWellFormed() && !controls.test(key)) return key;
  const message = `The key of a message is 1 to ${longestKey} characters, without control characters and lone surrogates.`;
  throw new FeedException('FEED_MESSAGE', { message });
}

function parseExpected(expected: unknown): Position {
  const position = typeof expected === 'string' ? parsePosition(expected) : undefined;
  if (position) return position;
  throw new FeedException('FEED_MESSAGE', { message: 'The expected position must be a position of the feed, or the id of a message.' });
}
