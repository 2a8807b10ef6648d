import type { FeedMessage } from '../feed/message/message.js';

/** A path could not be followed: there was no answer, it was not a feed, or it broke off. */
export class FollowError extends Error {
  override readonly name = 'FollowError';
  readonly code = 'FOLLOW';

  constructor(
    message: string,
    /** The status of the answer; undefined where there was none. */
    readonly status?: number,
    /** The body of an answer that is not a feed; undefined where there was none. */
    readonly body?: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** What a test waited for did not come in time. */
export class FeedTimeoutError extends Error {
  override readonly name = 'FeedTimeoutError';
  readonly code = 'FEED_TIMEOUT';

  constructor(
    message: string,
    /** How long was waited, in milliseconds. */
    readonly timeoutMs: number,
  ) {
    super(message);
  }
}

/** The longest text in an error, in characters. */
const longestText = 500;

/** A text as errors show it. */
export function shortened(text: string): string {
  return text.length > longestText ? `${text.slice(0, longestText)}…` : text;
}

/** How many messages an error shows. */
export const mostShown = 5;

/**
 * Messages as errors show them: a line each, with what the application gave them.
 *
 * @param count how many there are
 * @param last the last of them, `mostShown` or fewer
 */
export function describeMessages(count: number, last: readonly Readonly<FeedMessage>[]): string {
  if (count === 0) return 'none.';
  const lines = last.map(({ feed, type, data }) => `\n  ${shortened(JSON.stringify({ feed, type, data }))}`);
  return `${count}${count > last.length ? `, the last ${last.length} of them` : ''}:${lines.join('')}`;
}
