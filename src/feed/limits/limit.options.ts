import * as v from 'valibot';
import { isProxy } from './client-address.js';

/**
 * What one client may take of the service; beyond, it is answered with 429 (RFC 6585 section 4) and `Retry-After`. A client is the
 * subject of a request's token, or the address that the request comes from: see `ClientAddress`.
 */
export interface LimitOptions {
  /** How many connections one client may have open at once. Default: 0: no limit. */
  maxConnectionsPerClient?: number;
  /**
   * How many new connections one client may open, per minute. It may open all of them at once, and gets them back one by one, evenly
   * over the minute, so that in its first minute it may open twice as many at most. Default: 0: no limit.
   */
  connectionRatePerClient?: number;
  /**
   * The proxies whose `X-Forwarded-For` is believed: addresses and subnets (`10.0.0.7`, `2001:db8::/32`), or `loopback`, `private`
   * (RFC 1918, RFC 4193, link-local) and `unix` (whoever comes over a Unix socket, which tells no address). Each must add the address
   * that it was called from to the header, and must not be where clients come from themselves. Default: `[]`: nobody is believed, so
   * that all who come through a proxy are one client.
   */
  trustedProxies?: readonly string[];
}

/** The options with every default filled in; Infinity for no limit. */
export type ResolvedLimitOptions = Readonly<Required<LimitOptions>>;

const limit = (unit: string) =>
  v.pipe(
    v.number(`must be a whole number of ${unit}`),
    v.safeInteger(`must be a whole number of ${unit}`),
    v.minValue(0, `must be 0 or more ${unit}`),
  );

const proxyRule = 'must be IP addresses, subnets such as 10.0.0.0/8, loopback, private or unix';

/** What each option may be. */
export const limitOptionRules = {
  maxConnectionsPerClient: limit('connections'),
  connectionRatePerClient: limit('connections'),
  trustedProxies: v.array(v.pipe(v.string(proxyRule), v.check(isProxy, proxyRule)), proxyRule),
};

/** Fills in the defaults. */
export function resolveLimitOptions(options: LimitOptions): ResolvedLimitOptions {
  return {
    maxConnectionsPerClient: options.maxConnectionsPerClient || Number.POSITIVE_INFINITY,
    connectionRatePerClient: options.connectionRatePerClient || Number.POSITIVE_INFINITY,
    trustedProxies: options.trustedProxies ?? [],
  };
}
