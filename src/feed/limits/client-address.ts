import type { IncomingMessage } from 'node:http';
import { BlockList, isIP, isIPv4, isIPv6 } from 'node:net';
import { grantOf } from '../auth/request-grant.js';
import { type AnyRequest, rawOf } from '../http/adapter.js';

/** Names for what proxies often are; a Unix socket's peer has no address. */
const named: Readonly<Record<string, readonly string[]>> = {
  loopback: ['127.0.0.0/8', '::1'],
  private: ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '169.254.0.0/16', 'fc00::/7', 'fe80::/10'],
  unix: [],
};

/** How many addresses of `X-Forwarded-For` are looked at: more proxies than any request passes. */
const mostHops = 32;

/** Who is behind a request, as limits count: the subject of its token, or where it comes from. */
export function clientOf(request: AnyRequest, addresses: ClientAddress): string {
  const subject = grantOf(request)?.subject;
  return subject === undefined ? addresses.of(rawOf(request)) : `sub:${subject}`;
}

/**
 * Finds the address that a request comes from: the socket's remote address or, where that is a trusted proxy, the rightmost one of
 * `X-Forwarded-For` that is not. Each proxy adds the address it was called from at the right, so what is left of an address that
 * nobody trusts may be made up. The header is not standardised, but what all proxies send; `Forwarded` (RFC 7239), which few send and
 * the others pass on as the client made it up, is not read.
 */
export class ClientAddress {
  private readonly proxies: BlockList | undefined;
  private readonly trustsUnix: boolean;

  /** @param trustedProxies each of which `isProxy()` */
  constructor(trustedProxies: readonly string[]) {
    const subnets = trustedProxies.flatMap((proxy) => named[proxy] ?? proxy);
    this.proxies = subnets.length > 0 ? new BlockList() : undefined;
    for (const subnet of subnets) {
      const [address = '', length] = subnet.split('/');
      this.proxies?.addSubnet(address, Number(length ?? bitsOf(address)), familyOf(address));
    }
    this.trustsUnix = trustedProxies.includes('unix');
  }

  /**
   * @returns an IPv4 address; of an IPv6 address its first 64 bits, such as `2001:db8:0:1::/64`, since a network of that size is the
   * least that one host is given and chooses from (RFC 6177, RFC 8981); or `unknown` (as in RFC 7239 section 6.2) where the peer has
   * no address, because it came over a Unix socket or has left. Never longer than 24 characters.
   */
  of({ socket, headers }: Pick<IncomingMessage, 'socket' | 'headers'>): string {
    const { remoteAddress } = socket;
    const peer = addressIn(remoteAddress ?? '');
    const isProxied = peer === undefined ? this.trustsUnix && remoteAddress === undefined : this.trusts(peer);
    const forwarded = headers['x-forwarded-for'];
    return clientAt(isProxied && forwarded !== undefined ? this.before(String(forwarded), peer) : peer);
  }

  /** The farthest address that can be relied on; the peer where the header's last address is none. */
  private before(forwarded: string, peer: string | undefined): string | undefined {
    let client = peer;
    let end = forwarded.length;
    for (let hop = 0; hop < mostHops && end >= 0; hop += 1) {
      const comma = end > 0 ? forwarded.lastIndexOf(',', end - 1) : -1;
      const address = addressIn(forwarded.slice(comma + 1, end).trim());
      if (address === undefined) return client;
      client = address;
      if (!this.trusts(address)) return client;
      end = comma;
    }
    return client;
  }

  private trusts(address: string): boolean {
    return this.proxies?.check(address, familyOf(address)) ?? false;
  }
}

/** Whether that names a proxy: an address, a subnet in CIDR notation (RFC 4632, RFC 4291 section 2.3), or a known name. */
export function isProxy(value: string): boolean {
  if (Object.hasOwn(named, value)) return true;
  const [, address = '', length = '0'] = /^([^%/]+)(?:\/(\d{1,3}))?$/.exec(value) ?? [];
  return isIP(address) !== 0 && Number(length) <= bitsOf(address);
}

function familyOf(address: string): 'ipv4' | 'ipv6' {
  return isIPv4(address) ? 'ipv4' : 'ipv6';
}

function bitsOf(address: string): number {
  return isIPv4(address) ? 32 : 128;
}

/** The address in a hop, where it is one: some proxies add the port, and then brackets around an IPv6 address (RFC 3986). */
function addressIn(hop: string): string | undefined {
  const [, v6, v4] = /^(?:\[([^\]]+)\]|([\d.]+))(?::\d+)?$/.exec(hop) ?? [];
  const address = v6 ?? v4 ?? hop;
  const isAddress = v6 === undefined ? isIP(address) !== 0 : isIPv6(address);
  return isAddress ? withoutZone(address) : undefined;
}

/** A zone (`fe80::1%eth0`, RFC 4007 section 11) says where the address is reached, not whose it is. */
function withoutZone(address: string): string {
  const zone = address.indexOf('%');
  return zone < 0 ? address : address.slice(0, zone);
}

function clientAt(address: string | undefined): string {
  if (address === undefined) return 'unknown';
  // Put together anew: a slice, kept for long, would keep the whole header that it was cut out of.
  if (isIPv4(address)) return address.split('.').join('.');
  const groups = groupsOf(address);
  if (groups.slice(0, 6).join() === '0,0,0,0,0,65535') {
    // an IPv4 address as a socket for both protocols has it (RFC 4291 section 2.5.5.2)
    return groups
      .slice(6)
      .flatMap((group) => [group >> 8, group & 255])
      .join('.');
  }
  const network = groups.slice(0, 4).map((group) => group.toString(16));
  return `${network.join(':')}::/64`;
}

/** The eight groups of an IPv6 address, in whichever of its spellings (RFC 4291 section 2.2). */
function groupsOf(address: string): number[] {
  const [before = [], after] = address.split('::').map((half) =>
    half
      .split(':')
      .filter((group) => group !== '')
      .flatMap((group) => {
        if (!group.includes('.')) return Number.parseInt(group, 16);
        const [a = 0, b = 0, c = 0, d = 0] = group.split('.').map(Number);
        return [a * 256 + b, c * 256 + d];
      }),
  );
  return after ? [...before, ...new Array(8 - before.length - after.length).fill(0), ...after] : before;
}
