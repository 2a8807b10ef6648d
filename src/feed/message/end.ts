import { FeedException } from '../errors/feed-exception.js';
import type { Content } from './message.js';

/** The type of a feed's last message. It cannot be published: `finish()` and `stop()` append it. */
export const endType = 'end';

/** How feeds end: their source came to its end, it failed, or somebody stopped it. */
export const feedEndReasons = ['completed', 'failed', 'stopped'] as const;

/** What a feed's last message says: its data. */
export interface FeedEnd {
  readonly reason: (typeof feedEndReasons)[number];
  /** What went wrong, as the application words it for clients; only where the feed has `failed`. */
  readonly message?: string | undefined;
}

/** The longest message of a feed that has failed, in characters. */
export const longestEndMessage = 1000;

/** How a feed ends that has failed. The message may be too long. */
export function failed(message: string): FeedEnd {
  return { reason: 'failed', message: message.slice(0, longestEndMessage) };
}

/**
 * How a feed ends that the application finishes.
 *
 * @param options are of any type where they are what was caught, or come from JSON
 * @throws FeedException FEED_MESSAGE (400)
 */
export function endOf(options: unknown): FeedEnd {
  const isObject = typeof options === 'object' && options !== null && !(options instanceof Error);
  if (!isObject || Object.keys(options).some((key) => key !== 'error')) {
    throw new FeedException('FEED_MESSAGE', {
      message: 'A feed is finished with no options, or with { error: … }: the words for its clients.',
    });
  }
  const { error } = options as { error?: unknown };
  if (error === undefined) return { reason: 'completed' };
  if (typeof error === 'string' && error.length <= longestEndMessage) return failed(error);
  const message = `The error with which a feed is finished is a text of ${longestEndMessage} characters at most, worded for clients.`;
  throw new FeedException('FEED_MESSAGE', { message });
}

/** The content of a feed's last message. */
export function endContent({ reason, message }: FeedEnd): Content {
  return { type: endType, text: JSON.stringify({ reason, message }), isJson: true };
}

/** Whether a message is the last one of its feed, which has ended with it. */
export function isEnd(message: Content | undefined): boolean {
  return message?.type === endType;
}

/** Whether the text of a last message is such as `endContent()` makes: another program may have stored it. */
export function isEndText(text: string): boolean {
  try {
    const { reason, message = '' } = JSON.parse(text) as Record<string, unknown>;
    return feedEndReasons.some((known) => known === reason) && typeof message === 'string';
  } catch {
    return false;
  }
}
