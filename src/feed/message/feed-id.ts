import { FeedIdException } from '../errors/feed.errors.js';

const form = /^[\w.~:@-]+(?:\/[\w.~:@-]+)*$/;

/** @throws FeedIdException (400) when the value breaks `feedIdRule` */
export function checkFeedId(id: unknown): string {
  if (typeof id !== 'string' || id.length > 200 || !form.test(id)) throw new FeedIdException();
  return id;
}
