import type { IncomingMessage } from 'node:http';
import fc from 'fast-check';
import { ClientAddress } from './client-address.js';

function request(remoteAddress: string | undefined, forwarded?: string | string[]) {
  return { socket: { remoteAddress }, headers: { 'x-forwarded-for': forwarded } } as unknown as IncomingMessage;
}

/** An address as a number of 128 bits, IPv4 ones mapped, with its spellings. */
interface Address {
  bits: bigint;
  spellings: string[];
  client: string;
}

const mapped = 0xffffn << 32n;
const v4Of = (bits: bigint) => [24n, 16n, 8n, 0n].map((shift) => (bits >> shift) & 255n).join('.');
const groupsOf = (bits: bigint) => [7n, 6n, 5n, 4n, 3n, 2n, 1n, 0n].map((n) => ((bits >> (16n * n)) & 0xffffn).toString(16));

/** With every run of zero groups shortened, one at a time, and with the last two groups as an IPv4 address. */
function spellingsOf(bits: bigint): string[] {
  const groups = groupsOf(bits);
  const all = [groups.join(':'), groups.map((group) => group.padStart(4, '0').toUpperCase()).join(':')];
  for (let from = 0; from < 8; from += 1) {
    for (let to = from + 1; to <= 8 && groups[to - 1] === '0'; to += 1) {
      all.push(`${groups.slice(0, from).join(':')}::${groups.slice(to).join(':')}`);
      if (to <= 6) all.push(`${groups.slice(0, from).join(':')}::${[...groups.slice(to, 6), v4Of(bits)].join(':')}`);
    }
  }
  all.push(`${groups.slice(0, 6).join(':')}:${v4Of(bits)}`);
  // The deprecated form of RFC 4291 section 2.5.5.1 counts as the IPv4 address in it.
  return all.filter((spelling) => !/^::\d+\.\d+\.\d+\.\d+$/.test(spelling));
}

const v4 = fc.nat(0xffffffff).map((n): Address => {
  const bits = mapped | BigInt(n);
  return { bits, spellings: [v4Of(bits), ...spellingsOf(bits)], client: v4Of(bits) };
});
const v6 = fc
  .array(fc.oneof(fc.constant(0n), fc.bigInt(0n, 0xffffn)), { minLength: 8, maxLength: 8 })
  .map((groups) => groups.reduce((bits, group) => (bits << 16n) | group, 0n))
  .filter((bits) => bits >> 32n !== 0xffffn)
  .map((bits): Address => ({ bits, spellings: spellingsOf(bits), client: `${groupsOf(bits).slice(0, 4).join(':')}::/64` }));
const address = fc.oneof(v4, v6);

const spelt = ({ spellings }: Address) => fc.constantFrom(...spellings);
const hop = (whose: Address) =>
  spelt(whose).chain((text) =>
    text.includes(':')
      ? fc.constantFrom(text, `[${text}]`, `[${text}]:443`, `${text}%eth0`, ` ${text}\t`)
      : fc.constantFrom(text, `${text}:8080`, ` ${text} `),
  );
const garbage = fc.constantFrom(
  '',
  'unknown',
  '_hidden',
  '1.2.3',
  '1.2.3.4.5',
  '::1::',
  '[1.2.3.4]',
  '[::1',
  '::1]:80',
  '"::1"',
  'for=1.2.3.4',
  '[]',
  ':80',
  '%',
  '01.2.3.4',
);

describe('ClientAddress', () => {
  it.each<[string | undefined, string]>([
    ['203.0.113.7', '203.0.113.7'],
    ['::ffff:203.0.113.7', '203.0.113.7'],
    ['::FFFF:cb00:7107', '203.0.113.7'],
    ['::1', '0:0:0:0::/64'],
    ['2001:db8:0:1:2:3:4:5', '2001:db8:0:1::/64'],
    ['2001:db8::5', '2001:db8:0:0::/64'],
    ['1::3:4:5:6:7:8', '1:0:3:4::/64'],
    ['::2:3:4:5:6:7:8', '0:2:3:4::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['64:ff9b::203.0.113.7', '64:ff9b:0:0::/64'],
    ['somewhere', 'unknown'],
    ['', 'unknown'],
    [undefined, 'unknown'],
  ])('makes %j %j', (remote, client) => {
    expect(new ClientAddress([]).of(request(remote))).toBe(client);
  });

  it.each<[string[], string | undefined, string | string[] | undefined, string]>([
    // Nobody is believed who was not declared.
    [[], '10.0.0.1', '203.0.113.7', '10.0.0.1'],
    [['10.0.0.2'], '10.0.0.1', '203.0.113.7', '10.0.0.1'],
    [['10.0.0.1'], '10.0.0.1', '203.0.113.7', '203.0.113.7'],
    [['10.0.0.1'], '::ffff:10.0.0.1', '203.0.113.7', '203.0.113.7'],
    [['10.0.0.0/8'], '10.0.0.1', '198.51.100.1, 203.0.113.7, 10.2.3.4', '203.0.113.7'],
    [['10.0.0.0/8'], '10.0.0.1', ['198.51.100.1', '203.0.113.7, 10.2.3.4', '10.3.4.5'], '203.0.113.7'],
    [['10.0.0.0/8'], '10.0.0.1', '10.0.0.3, 10.0.0.2', '10.0.0.3'],
    [['10.0.0.0/8'], '10.0.0.1', undefined, '10.0.0.1'],
    [['10.0.0.0/8'], '10.0.0.1', '', '10.0.0.1'],
    [['10.0.0.0/8'], '10.0.0.1', ',', '10.0.0.1'],
    [['10.0.0.0/8'], '10.0.0.1', '203.0.113.7,', '10.0.0.1'],
    [['10.0.0.0/8'], '10.0.0.1', '203.0.113.7, unknown, 10.0.0.2', '10.0.0.2'],
    [['loopback'], '127.0.0.9', '203.0.113.7', '203.0.113.7'],
    [['loopback'], '::1', '2001:db8::1', '2001:db8:0:0::/64'],
    [['loopback'], '10.0.0.1', '203.0.113.7', '10.0.0.1'],
    [['loopback', 'private'], 'fe80::1%eth0', '203.0.113.7, fd00::1, 192.168.1.1, 172.31.0.1, 127.0.0.1', '203.0.113.7'],
    [['private'], '172.32.0.1', '203.0.113.7', '172.32.0.1'],
    [['2001:db8::/33'], '2001:db8:7fff::1', '203.0.113.7', '203.0.113.7'],
    [['2001:db8::/33'], '2001:db8:8000::1', '203.0.113.7', '2001:db8:8000:0::/64'],
    // A peer that has left has no address either.
    [['loopback', 'private'], undefined, '203.0.113.7', 'unknown'],
    [['unix'], undefined, '203.0.113.7', '203.0.113.7'],
    [['unix'], undefined, undefined, 'unknown'],
    [['unix'], '10.0.0.1', '203.0.113.7', '10.0.0.1'],
    [['unix'], 'somewhere', '203.0.113.7', 'unknown'],
    [['unix', 'private'], undefined, '203.0.113.7, 10.0.0.1', '203.0.113.7'],
  ])('trusting %j: %j with %j is %j', (trusted, remote, forwarded, client) => {
    expect(new ClientAddress(trusted).of(request(remote, forwarded))).toBe(client);
  });

  it('looks at 32 addresses at most', () => {
    const addresses = new ClientAddress(['private']);
    const path = Array.from({ length: 40 }, (_, n) => `10.0.0.${n}`).join(', ');
    expect(addresses.of(request('10.1.1.1', path))).toBe('10.0.0.8');
  });

  it('knows an address in each of its spellings', () => {
    fc.assert(
      fc.property(
        address.chain((whose) => fc.tuple(fc.constant(whose), spelt(whose))),
        ([whose, text]) => {
          expect(new ClientAddress([]).of(request(text))).toBe(whose.client);
        },
      ),
      { numRuns: 2000 },
    );
  });

  it('walks from the peer to the first that is not trusted, or no address', () => {
    const named = fc
      .uniqueArray(fc.tuple(address, fc.boolean()), { minLength: 1, maxLength: 5, selector: ([{ bits }]) => bits })
      .chain((known) => {
        const trusted = known.filter(([, isTrusted]) => isTrusted).map(([{ spellings }]) => spellings[0] as string);
        const one = fc
          .constantFrom(...known)
          .chain(([whose, isTrusted]) =>
            fc.record({ text: hop(whose), isTrusted: fc.constant(isTrusted), client: fc.constant(whose.client) }),
          );
        const path = fc.array(fc.oneof({ weight: 8, arbitrary: one }, { weight: 1, arbitrary: fc.record({ text: garbage }) }), {
          maxLength: 40,
        });
        const peer = fc
          .constantFrom(...known)
          .chain(([whose, isTrusted]) =>
            fc.record({ text: spelt(whose), isTrusted: fc.constant(isTrusted), client: fc.constant(whose.client) }),
          );
        return fc.record({ trusted: fc.constant(trusted), path, peer });
      });
    fc.assert(
      fc.property(named, ({ trusted, path, peer }) => {
        let last = peer;
        for (const next of path.slice(-32).reverse()) {
          if (!last.isTrusted || !('client' in next)) break;
          last = next;
        }
        const forwarded = path.length > 0 ? path.map(({ text }) => text).join(',') : undefined;
        expect(new ClientAddress(trusted).of(request(peer.text, forwarded))).toBe(last.client);
      }),
      { numRuns: 2000 },
    );
  });

  it('knows the addresses of a subnet', () => {
    const subnet = address.chain((base) =>
      fc.tuple(fc.constant(base), fc.nat(base.client.includes(':') ? 128 : 32), fc.bigInt(0n, 2n ** 128n - 1n)),
    );
    fc.assert(
      fc.property(subnet, fc.boolean(), ([base, length, random], isInside) => {
        const size = base.client.includes(':') ? 128 : 32;
        fc.pre(isInside || length > 0);
        const hostBits = BigInt(size - length);
        const host = random & ((1n << hostBits) - 1n);
        let bits = ((base.bits >> hostBits) << hostBits) | host;
        if (!isInside) bits ^= 1n << hostBits;
        fc.pre((bits >> 32n === 0xffffn) === (size === 32));
        const text = size === 32 ? v4Of(bits) : groupsOf(bits).join(':');
        const client = new ClientAddress([`${base.spellings[0]}/${length}`]).of(request(text, '203.0.113.7'));
        expect(client === '203.0.113.7').toBe(isInside);
      }),
      { numRuns: 2000 },
    );
  });

  it('never throws, and tells something short', () => {
    const piece = fc.oneof(garbage, fc.constantFrom('1.2.3.4', '::1', '10.0.0.1', ',', ':', '[', ']', '.', ' ', '%'), fc.string());
    const text = fc.array(piece).map((pieces) => pieces.join(''));
    const addresses = new ClientAddress(['loopback', 'private', 'unix']);
    fc.assert(
      fc.property(
        fc.option(fc.oneof(text, fc.constant('10.0.0.1')), { nil: undefined }),
        fc.oneof(text, fc.array(text)),
        (remote, forwarded) => {
          expect(addresses.of(request(remote, forwarded)).length).toBeLessThanOrEqual(24);
        },
      ),
      { numRuns: 2000 },
    );
  });

  it('reads no more of a long header than an address may take', () => {
    const addresses = new ClientAddress(['private']);
    for (const piece of ['[', '1', '1.', ':', ' ', ',', '%']) {
      expect(addresses.of(request('10.0.0.1', piece.repeat(1_000_000)))).toBe('10.0.0.1');
      expect(addresses.of(request('10.0.0.1', `203.0.113.7,[${piece.repeat(1_000_000)}]:80`))).toBe('10.0.0.1');
    }
    expect(addresses.of(request('10.0.0.1', `203.0.113.7,${'10.0.0.1,'.repeat(20)}10.0.0.1`))).toBe('203.0.113.7');
  });
});
