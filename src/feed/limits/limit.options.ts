import * as v from 'valibot';
import { wholeNumber } from '../errors/option-rules.js';
import { isProxy } from './client-address.js';

/**
 * What one client may use of the service; beyond, it gets 429 (RFC 6585 section 4) with `Retry-After`. A client is the subject of a
 * request's token, or the address that the request comes from: see `ClientAddress`.
 */
export interface LimitOptions {
  /** The most connections that one client may have open at once. Default: 0: no limit. */
  maxConnectionsPerClient?: number;
  /**
   * The most connections that one client may open per minute. It may open all of them at once, and gets them back one by one, evenly
   * over the minute: in its first minute it may open up to twice as many. Default: 0: no limit.
   */
  connectionRatePerClient?: number;
  /**
   * The most messages that one client may publish over HTTP per minute, which may come at once. Each message of a request counts, and so
   * does the end of a feed, and its removal. A client with a publish key has `publishRatePerKey` instead. Default: 0: no limit.
   */
  publishRatePerClient?: number;
  /** The most messages that are published over HTTP with one publish key per minute, from wherever they come. Default: 0: no limit. */
  publishRatePerKey?: number;
  /**
   * The proxies whose `X-Forwarded-For` is trusted: addresses and subnets (`10.0.0.7`, `2001:db8::/32`), or `loopback`, `private`
   * (RFC 1918, RFC 4193, link-local) and `unix` (peers on a Unix socket, which have no address). Each must add the address of its peer
   * to the header, and clients must not come from these addresses themselves. Default: `[]`: none, so that all clients behind a proxy
   * count as one.
   */
  trustedProxies?: readonly string[];
}

/** The options with every default filled in; Infinity for no limit. */
export type ResolvedLimitOptions = Readonly<Required<LimitOptions>>;

const proxyRule = 'must be IP addresses, subnets such as 10.0.0.0/8, loopback, private or unix';

/** What each option may be. */
export const limitOptionRules = {
  maxConnectionsPerClient: wholeNumber('connections'),
  connectionRatePerClient: wholeNumber('connections'),
  publishRatePerClient: wholeNumber('messages'),
  publishRatePerKey: wholeNumber('messages'),
  trustedProxies: v.array(v.pipe(v.string(proxyRule), v.check(isProxy, proxyRule)), proxyRule),
};

/** Fills in the defaults. */
export function resolveLimitOptions(options: LimitOptions): ResolvedLimitOptions {
  return {
    maxConnectionsPerClient: options.maxConnectionsPerClient || Number.POSITIVE_INFINITY,
    connectionRatePerClient: options.connectionRatePerClient || Number.POSITIVE_INFINITY,
    publishRatePerClient: options.publishRatePerClient || Number.POSITIVE_INFINITY,
    publishRatePerKey: options.publishRatePerKey || Number.POSITIVE_INFINITY,
    trustedProxies: options.trustedProxies ?? [],
  };
}
