import { resetType, type StoredMessage, type TextMessage } from '../message/message.js';
import { formatPosition, type Position } from '../message/position.js';

/** Tells a client how far it has come, where no message does. */
export class Mark {
  readonly position: string;

  /** @param isStart whether a replay begins there; otherwise all that it had to send has been sent */
  constructor(
    position: Position,
    readonly isStart: boolean,
  ) {
    this.position = formatPosition(position);
  }
}

/** What a replay sends: stored messages, a `reset`, and marks that move the client's position without a message. */
export type ReplayItem = StoredMessage | TextMessage | Mark;

/**
 * The message that tells a reader that messages of a feed are lost.
 *
 * @param oldest the id of the first that is stored; null where there is none
 * @param position where its reader is after it; without one, the reader's position does not change
 */
export function resetOf(feed: string, oldest: string | null, position?: Position): TextMessage {
  const text = JSON.stringify({ feed, oldest });
  return { id: position && formatPosition(position), feed, type: resetType, text, isJson: true };
}

/** The same message for a reader whose position is behind it already. */
export function withoutPosition({ feed, type, text, isJson, time }: TextMessage): TextMessage {
  return { id: undefined, feed, type, text, isJson, time };
}
