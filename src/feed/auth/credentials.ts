import type { FeedRequest } from '../http/feed-request.js';

/** A token, or the publish key, as it came with a request. */
export interface Credential {
  readonly token: string;
  readonly from: 'key' | 'header' | 'cookie' | 'query';
}

/**
 * Finds the publish key of a request, in `X-Feed-Key`, or its token: in `Authorization: Bearer`, else in the cookie, else in `?token=`,
 * which is for clients that cannot set headers, such as `EventSource` (RFC 6750 sections 2.1 and 2.3). An empty one counts as missing;
 * `Authorization` with another scheme is ignored.
 *
 * @param cookie the name of the cookie
 */
export function credentialOf({ raw: { headers }, query }: FeedRequest, cookie: string): Credential | undefined {
  const key = headers['x-feed-key'];
  if (typeof key === 'string' && key !== '') return { token: key, from: 'key' };
  const inHeader = /^bearer +(.+)$/i.exec(headers.authorization ?? '')?.[1];
  if (inHeader) return { token: inHeader, from: 'header' };
  const inCookie = cookieOf(headers.cookie ?? '', cookie);
  if (inCookie) return { token: inCookie, from: 'cookie' };
  const inQuery = query.get('token');
  if (inQuery) return { token: inQuery, from: 'query' };
  return undefined;
}

/** A request's target without its token, for everything that may be logged or shown. The rest stays byte for byte. */
export function withoutToken(target: string): string {
  const query = target.indexOf('?');
  if (query < 0) return target;
  const path = target.slice(0, query);
  const parameters = target.slice(query + 1).split('&');
  // A name may be percent-encoded: what is removed is exactly what is read as the token.
  const kept = parameters.filter((parameter) => !isToken(parameter));
  return kept.length > 0 ? `${path}?${kept.join('&')}` : path;
}

/** Whether a parameter is the token. Reading each on its own as a query would be slow where a client sends thousands. */
function isToken(parameter: string): boolean {
  const [name = ''] = parameter.split('=', 1);
  return name === 'token' || (name.includes('%') && new URLSearchParams(`?${parameter}`).has('token'));
}

/** The value of the first cookie of that name (RFC 6265 section 5.4: the one with the longest path comes first). */
function cookieOf(header: string, name: string): string | undefined {
  for (const pair of header.split(';')) {
    const equals = pair.indexOf('=');
    if (equals < 0 || pair.slice(0, equals).trim() !== name) continue;
    return decoded(
      pair
        .slice(equals + 1)
        .trim()
        .replace(/^"(.*)"$/, '$1'),
    );
  }
  return undefined;
}

/** Many libraries percent-encode what they put into a cookie. */
function decoded(value: string): string {
  try {
    return decodeURIComponent(value);
  } catch {
    return value;
  }
}
