/** What keeps a response from being stored, or from being used without asking again (RFC 9111 section 5.2.2). */
const never = /(^|[\s,])(no-store|no-cache)($|[\s,=])/i;

/** How long a response may be used again, in milliseconds, as its `Cache-Control` says by `max-age` (RFC 9111 section 4.2); 0 where it does not. */
export function freshnessOf(headers: Headers): number {
  const control = headers.get('cache-control') ?? '';
  const maxAge = /(?:^|[\s,])max-age=("?)(\d+)\1(?:$|[\s,])/i.exec(control)?.[2];
  if (maxAge === undefined || never.test(control)) return 0;
  // A proxy in front may have stored it for some time (RFC 9111 section 5.1).
  const age = /^\d+$/.exec(headers.get('age') ?? '')?.[0] ?? 0;
  return Math.max(0, Number(maxAge) - Number(age)) * 1000;
}
