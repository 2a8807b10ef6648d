import { FeedEndedError, FeedPositionError, KeyReusedError } from '../../errors/broker.errors.js';
import type { Content, StoredMessage } from '../../message/message.js';
import type { Position } from '../../message/position.js';
import { messageOf } from './redis-message.js';

/** What the script that appends replies: where the message is, and whether it has been there before; or why it is not. */
export type AppendReply = [epoch: string, offset: string, isRepeated: 0 | 1] | ['ended' | 'position' | 'key'];

/** What the script that clears replies: from where on the feed begins anew; or that it has messages after the expected position. */
export type ClearReply = [epoch: string, offset: string] | ['position'];

/** Whether the message was stored by an earlier publication with its key. */
export function isRepeated(reply: AppendReply): boolean {
  return reply[2] === 1;
}

/**
 * The message that was appended.
 *
 * @throws FeedEndedError, FeedPositionError, KeyReusedError where it was not
 */
export function appendedMessage(feed: string, content: Content, [epoch, offset]: AppendReply): StoredMessage {
  if (offset !== undefined) return messageOf(feed, epoch, Number(offset), content);
  if (epoch === 'ended') throw new FeedEndedError(feed);
  throw epoch === 'position' ? new FeedPositionError(feed) : new KeyReusedError(feed);
}

/**
 * The position from which on a feed begins anew.
 *
 * @throws FeedPositionError where it was not cleared
 */
export function clearedAt(feed: string, [epoch, offset]: ClearReply): Position {
  if (offset === undefined) throw new FeedPositionError(feed);
  return { epoch, offset: Number(offset) };
}
