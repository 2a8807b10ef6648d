import type { IncomingMessage } from 'node:http';
import ipaddr from 'ipaddr.js';
import { SharedTexts } from './shared-texts.js';

type Subnet = [address: ipaddr.IPv4 | ipaddr.IPv6, prefixLength: number];

/** Names for usual proxies; the peer of a Unix socket has no address. */
const named: Readonly<Record<string, readonly string[]>> = {
  loopback: ['127.0.0.0/8', '::1'],
  private: ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '169.254.0.0/16', 'fc00::/7', 'fe80::/10'],
  unix: [],
};

/** How many addresses of `X-Forwarded-For` are read: more proxies than any request passes. */
const mostHops = 32;

/** The longest hop that may be an address, in characters: with zone, brackets and port. */
const longestHop = 100;

/**
 * Finds the address that a request comes from: the socket's remote address or, where that is a trusted proxy, the rightmost one of
 * `X-Forwarded-For` that is not. Each proxy adds the address of its peer at the right, so what is left of an untrusted address may be
 * made up. The header is not standardised, but all proxies send it; `Forwarded` (RFC 7239), which few send and the others pass on as
 * the client made it up, is not read.
 */
export class ClientAddress {
  private readonly proxies: readonly Subnet[];
  private readonly trustsUnix: boolean;
  /** Those of peers that are no proxies: whatever they send, they are who they are. */
  private readonly direct = new SharedTexts();

  /** @param trustedProxies each of which `isProxy()` */
  constructor(trustedProxies: readonly string[]) {
    this.proxies = trustedProxies.flatMap((proxy) => named[proxy] ?? proxy).map(subnetOf);
    this.trustsUnix = trustedProxies.includes('unix');
  }

  /**
   * @returns an IPv4 address; of an IPv6 address its first 64 bits, such as `2001:db8:0:1::/64`, since a network of that size is the
   * least that one host is given and chooses from (RFC 6177, RFC 8981); or `unknown` (as in RFC 7239 section 6.2) where the peer has
   * no address, because it uses a Unix socket or has left. Never longer than 24 characters.
   */
  of({ socket, headers }: Pick<IncomingMessage, 'socket' | 'headers'>): string {
    const { remoteAddress } = socket;
    const known = this.direct.get(remoteAddress ?? '');
    if (known !== undefined) return known;
    const peer = addressIn(remoteAddress ?? '');
    const isProxied = peer === undefined ? this.trustsUnix && remoteAddress === undefined : this.trusts(peer);
    if (!isProxied && remoteAddress !== undefined) return this.direct.set(remoteAddress, clientAt(peer));
    const forwarded = headers['x-forwarded-for'];
    return clientAt(isProxied && forwarded !== undefined ? this.before(String(forwarded), peer) : peer);
  }

  /** The farthest address that can be relied on; the peer where the header's last address is none. */
  private before(forwarded: string, peer: ipaddr.IPv4 | ipaddr.IPv6 | undefined): ipaddr.IPv4 | ipaddr.IPv6 | undefined {
    let client = peer;
    let end = forwarded.length;
    for (let hop = 0; hop < mostHops && end >= 0; hop += 1) {
      const comma = end > 0 ? forwarded.lastIndexOf(',', end - 1) : -1;
      const address = end - comma > longestHop ? undefined : addressIn(forwarded.slice(comma + 1, end).trim());
      if (address === undefined) return client;
      client = address;
      if (!this.trusts(address)) return client;
      end = comma;
    }
    return client;
  }

  private trusts(address: ipaddr.IPv4 | ipaddr.IPv6): boolean {
    return this.proxies.some(([subnet, length]) => subnet.kind() === address.kind() && address.match(subnet as never, length));
  }
}

/** Whether that names a proxy: an address, a subnet in CIDR notation (RFC 4632, RFC 4291 section 2.3), or a known name. */
export function isProxy(value: string): boolean {
  if (value.includes('%')) return false; // a zone says where an address is reached, not whose it is (RFC 4007 section 11)
  return Object.hasOwn(named, value) || ipaddr.isValidCIDR(value) || isAddress(value);
}

function subnetOf(proxy: string): Subnet {
  if (proxy.includes('/')) return ipaddr.parseCIDR(proxy);
  const address = ipaddr.parse(proxy);
  return [address, address.kind() === 'ipv4' ? 32 : 128];
}

function isAddress(value: string): boolean {
  return ipaddr.IPv4.isValidFourPartDecimal(value) || ipaddr.IPv6.isValid(value);
}

/** The address in a hop: some proxies add the port, and then brackets around an IPv6 address (RFC 3986). */
function addressIn(hop: string): ipaddr.IPv4 | ipaddr.IPv6 | undefined {
  const [, v6, v4] = /^(?:\[([^\]]+)\]|([\d.]+))(?::\d+)?$/.exec(hop) ?? [];
  const text = v6 ?? v4 ?? hop;
  if (v6 === undefined ? !isAddress(text) : !ipaddr.IPv6.isValid(text)) return undefined;
  // An IPv4 address as a socket for both protocols has it (RFC 4291 section 2.5.5.2) counts as IPv4.
  return ipaddr.process(text);
}

function clientAt(address: ipaddr.IPv4 | ipaddr.IPv6 | undefined): string {
  if (address === undefined) return 'unknown';
  if (address.kind() === 'ipv4') return address.toString();
  const network = (address as ipaddr.IPv6).parts.slice(0, 4).map((part) => part.toString(16));
  return `${network.join(':')}::/64`;
}
