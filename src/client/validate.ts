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
  if (result instanceof Promise) throw new FeedClientError('A schema that validates asynchronously cannot check messages as they come.');
  if (!result.issues) return { ...message, data: result.value };
  const [{ message: reason } = { message: '' }] = result.issues;
  throw new FeedClientError(`A message of the feed "${message.feed}" does not fit its schema: ${reason}`, { feed: message.feed });
}
