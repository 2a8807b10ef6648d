import type { IncomingMessage } from 'node:http';
import { FeedForbiddenException } from '../errors/access.errors.js';
import { type AnyRequest, rawOf } from '../http/adapter.js';
import type { Grant } from './grant.js';

const grants = new WeakMap<IncomingMessage, Grant>();

/** Notes what a request may do. */
export function grant(request: AnyRequest, granted: Grant): void {
  grants.set(rawOf(request), granted);
}

/** What a request may do; undefined where nothing was said, because anyone may or because the application has guards of its own. */
export function grantOf(request: AnyRequest): Grant | undefined {
  return grants.get(rawOf(request));
}

/**
 * Lets a request pass that may read all of these feeds, or that has no grant. Whether there are such feeds makes no difference.
 *
 * @throws FeedForbiddenException (403)
 */
export function assertMayRead(request: AnyRequest, ids: readonly string[]): void {
  const granted = grantOf(request);
  if (granted && !ids.every((id) => granted.mayRead(id))) throw new FeedForbiddenException('The token is not for reading this.');
}

/**
 * Lets a request pass that may publish to all of these feeds, or that has no grant.
 *
 * @throws FeedForbiddenException (403)
 */
export function assertMayPublish(request: AnyRequest, ids: readonly string[]): void {
  const granted = grantOf(request);
  if (granted && !ids.every((id) => granted.mayPublish(id))) throw new FeedForbiddenException('The token is not for publishing here.');
}
