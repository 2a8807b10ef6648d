import type { IncomingHttpHeaders } from 'node:http';
import type { FeedRequest } from '../http/feed-request.js';
import { decoded, splitTarget } from '../http/target.js';

/** A token, a ticket, or the publish key, as it came with a request. */
export interface Credential {
  readonly token: string;
  readonly from: 'key' | 'header' | 'ticket' | 'cookie' | 'query';
}

/** Where credentials may come. */
export interface CredentialPlaces {
  /** The name of the cookie. */
  readonly tokenCookie: string;
  /** Whether a token may come in the URL. Default: true. */
  readonly tokenInQuery?: boolean;
  /** Whether tickets are looked for. Default: false. */
  readonly tickets?: boolean;
}

/**
 * Finds the publish key of a request, in `X-Feed-Key`, or its token: in `Authorization: Bearer`, else in the cookie, else in `?token=`,
 * which is for clients that cannot set headers, such as `EventSource` (RFC 6750 sections 2.1 and 2.3). A ticket comes in `?ticket=` of a
 * `GET`, and is taken before a cookie, which the browser sends by itself. An empty one counts as missing; `Authorization` with another scheme
 * is ignored.
 *
 * @throws FeedException FEED_QUERY (400) where the URL has several tokens, or several tickets
 */
export function credentialOf(request: FeedRequest, places: CredentialPlaces): Credential | undefined {
  const { headers, method } = request.raw;
  const { tokenCookie, tokenInQuery = true, tickets = false } = places;
  const ticket = tickets && (method === 'GET' || method === 'HEAD') ? request.parameter('ticket') : undefined;
  const inQuery = tokenInQuery ? request.parameter('token') : undefined;
  const key = headers['x-feed-key'];
  if (typeof key === 'string' && key !== '') return { token: key, from: 'key' };
  const inHeader = bearerIn(headers);
  if (inHeader) return { token: inHeader, from: 'header' };
  if (ticket) return { token: ticket, from: 'ticket' };
  const [inCookie] = cookiesIn(headers, tokenCookie);
  if (inCookie) return { token: inCookie, from: 'cookie' };
  if (inQuery) return { token: inQuery, from: 'query' };
  return undefined;
}

/** A request's target without its token and its ticket, for everything that may be logged or shown. The rest stays byte for byte. */
export function withoutToken(target: string): string {
  const [path, query] = splitTarget(target);
  if (path === target) return target;
  // A name may be percent-encoded: what is removed is exactly what is read as the token or the ticket.
  const kept = query.split('&').filter((parameter) => !isSecret(parameter));
  return kept.length > 0 ? `${path}?${kept.join('&')}` : path;
}

/** Whether a parameter is the token or the ticket. Reading each on its own as a query would be slow where a client sends thousands. */
function isSecret(parameter: string): boolean {
  const [name = ''] = parameter.split('=', 1);
  if (name === 'token' || name === 'ticket') return true;
  if (!name.includes('%')) return false;
  const query = new URLSearchParams(`?${parameter}`);
  return query.has('token') || query.has('ticket');
}

/** The token of `Authorization: Bearer` (RFC 6750 section 2.1). */
export function bearerIn({ authorization = '' }: IncomingHttpHeaders): string | undefined {
  return /^bearer +(.+)$/i.exec(authorization)?.[1];
}

/**
 * The values of the cookies of that name, the one with the longest path first (RFC 6265 section 5.4). Many libraries percent-encode what they
 * put into a cookie.
 */
export function cookiesIn({ cookie }: IncomingHttpHeaders, name: string): string[] {
  if (cookie === undefined) return [];
  return cookie.split(';').flatMap((pair) => {
    const equals = pair.indexOf('=');
    if (equals < 0 || pair.slice(0, equals).trim() !== name) return [];
    const value = pair.slice(equals + 1).trim();
    return [decoded(value.replace(/^"(.*)"$/, '$1'))];
  });
}
