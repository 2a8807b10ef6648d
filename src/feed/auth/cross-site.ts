import type { IncomingMessage } from 'node:http';

/**
 * Whether a browser sends the request at the behest of another site's page, as in cross-site request forgery. By fetch metadata,
 * or else by `Origin` (OWASP Cross-Site Request Forgery Prevention Cheat Sheet); a client that sends neither is no browser.
 * A proxy that rewrites `Host` must leave `Sec-Fetch-Site` as it is.
 *
 * @param trusted origins whose pages count as the service's own
 */
export function isCrossSite({ headers }: IncomingMessage, trusted: readonly string[] = []): boolean {
  if (headers.origin !== undefined && trusted.includes(headers.origin)) return false;
  const site = headers['sec-fetch-site'];
  if (site !== undefined) return site !== 'same-origin' && site !== 'none';
  const { origin } = headers;
  if (origin === undefined) return false;
  // HTTP/2 has :authority in the place of Host (RFC 9113 section 8.3.1).
  const host = headers.host ?? headers[':authority'];
  return origin !== `https://${host}` && origin !== `http://${host}`;
}
