import type { FeedRef } from '../feed/message/feed-definition.js';
import { FeedClientError } from './errors.js';
import type { FeedClientMessage } from './subscription.js';

/**
 * Checks a message against the schema of its type.
 *
 * @throws FeedClientError where it does not fit
 */
export function valid(message: FeedClientMessage, ref: FeedRef | undefined): FeedClientMessage {
  const schema = ref?.definition.messages[message.type ?? 'message'];
  if (!schema) return message;
  const result = schema['~standard'].validate(message.data);
  if (result instanceof Promise) throw new FeedClientError('A schema that checks messages as they come must not be asynchronous.');
  if (!result.issues) return { ...message, data: result.value };
  throw new FeedClientError(`A message of the feed "${message.feed}" does not fit: ${result.issues[0]?.message}`, { feed: message.feed });
}
