import type { FeedRef } from '../feed/message/feed-definition.js';
import { FeedClientError } from './errors.js';
import { type Feed, isRef } from './feed-id.js';
import type { FeedClientMessage } from './subscription.js';

/** What checks the messages of some feeds against the schemas of their types; it throws FeedClientError where one does not fit. */
export function validator(feeds: readonly Feed[]): (message: FeedClientMessage) => FeedClientMessage {
  const definitions = new Map(feeds.filter(isRef).map(({ id, definition }: FeedRef) => [id, definition]));
  return (message) => {
    const schema = definitions.get(message.feed)?.messages[message.type ?? 'message'];
    if (!schema) return message;
    const result = schema['~standard'].validate(message.data);
    if (result instanceof Promise) throw new FeedClientError('A schema that checks messages as they come must not be asynchronous.');
    if (!result.issues) return { ...message, data: result.value };
    throw new FeedClientError(`A message of the feed "${message.feed}" does not fit: ${result.issues[0]?.message}`, { feed: message.feed });
  };
}
