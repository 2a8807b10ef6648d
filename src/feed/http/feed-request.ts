import type { Start } from '../broker/broker.js';
import { FeedIdsException, FeedSinceException } from '../errors/feed.errors.js';
import { checkFeedId } from '../message/feed-id.js';
import { nowhere, parsePosition } from '../message/position.js';
import { type AnyRequest, rawOf, targetOf } from './adapter.js';

/** How many feeds a connection may ask for at once. */
export const mostFollowed = 100;

/** The query of a request as the client sent it. */
export function queryOf(request: AnyRequest): URLSearchParams {
  const target = targetOf(request);
  const query = target.indexOf('?');
  return new URLSearchParams(query < 0 ? '' : target.slice(query));
}

/**
 * Routes for the id of a feed in a path. An id may have slashes, and what a wildcard route looks like differs between Express and
 * Fastify: so each number of segments has a route; an id of more than four is written with `%2F`.
 */
export const idPaths = [':a', ':a/:b', ':a/:b/:c', ':a/:b/:c/:d'];

/**
 * The feed that a request's path names, slashes included; undefined where it names none.
 *
 * @throws FeedIdException (400)
 */
export function pathFeed({ params: { a, b, c, d } = {} }: { params?: Record<string, string> }): string | undefined {
  return a === undefined ? undefined : checkFeedId([a, b, c, d].filter((segment) => segment !== undefined).join('/'));
}

/**
 * The feeds that a request's query names: `?id=a&id=b`.
 *
 * @throws FeedIdException, FeedIdsException (400)
 */
export function queryFeeds(request: AnyRequest): string[] {
  const feeds = [...new Set(queryOf(request).getAll('id'))];
  if (feeds.length === 0) throw new FeedIdsException('Name the feed in the path, or one or several as ?id=a&id=b.');
  if (feeds.length > mostFollowed)
    throw new FeedIdsException(`A connection can ask for ${mostFollowed} feeds at most, not ${feeds.length}.`);
  return feeds.map(checkFeedId);
}

/**
 * Where a request wants to begin: `Last-Event-ID`, which `EventSource` sends when it comes back (HTML standard, section 9.2.4), or
 * else `?since=`. A `Last-Event-ID` that is no position leads to a reset, since `EventSource` could not do without it.
 *
 * @param sourceHasIds whether it may be the id of a source instead, which is then left to that
 * @returns undefined where the request says nothing
 * @throws FeedSinceException (400)
 */
export function startOf(request: AnyRequest, sourceHasIds: boolean): Start | undefined {
  const last = rawOf(request).headers['last-event-id'];
  const position = typeof last === 'string' && last !== '' ? (parsePosition(last) ?? (sourceHasIds ? undefined : nowhere)) : undefined;
  if (position) return position;
  const since = queryOf(request).get('since');
  if (since === null) return undefined;
  if (since === 'earliest') return 'earliest';
  if (since === 'latest') return 'end';
  const asked = parsePosition(since);
  if (!asked) throw new FeedSinceException();
  return asked;
}
