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
