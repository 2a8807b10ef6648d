import type { IncomingMessage } from 'node:http';
import fc from 'fast-check';
import { ClientAddress } from './client-address.js';

function request(remoteAddress: string | undefined, forwarded?: string | string[]) {
  return { socket: { remoteAddress }, headers: { 'x-forwarded-for': forwarded } } as unknown as IncomingMessage;
}

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

  it.each(['203.0.113.7:8080', ' 203.0.113.7\t', '[::ffff:203.0.113.7]', '[::ffff:203.0.113.7]:443', '::ffff:cb00:7107%eth0'])(
    'knows the address in the hop %j',
    (hop) => {
      expect(new ClientAddress(['private']).of(request('10.0.0.1', hop))).toBe('203.0.113.7');
    },
  );

  it.each(['_hidden', '1.2.3', '1.2.3.4.5', '::1::', '[1.2.3.4]', '[::1', '::1]:80', '"::1"', 'for=1.2.3.4', '[]', ':80', '%', '01.2.3.4'])(
    'finds no address in the hop %j',
    (hop) => {
      expect(new ClientAddress(['private']).of(request('10.0.0.1', `203.0.113.7,${hop}`))).toBe('10.0.0.1');
    },
  );

  it('looks at 32 addresses at most', () => {
    const addresses = new ClientAddress(['private']);
    const path = Array.from({ length: 40 }, (_, n) => `10.0.0.${n}`).join(', ');
    expect(addresses.of(request('10.1.1.1', path))).toBe('10.0.0.8');
  });

  it('never throws, and tells something short', () => {
    const pieces = ['1.2.3.4', '::1', '10.0.0.1', ',', ':', '[', ']', '.', ' ', '%', '"', 'for=', '01.2.3.4', ':80'];
    const text = fc.string({ unit: fc.oneof(fc.constantFrom(...pieces), fc.string()) });
    const addresses = new ClientAddress(['loopback', 'private', 'unix']);
    fc.assert(
      fc.property(fc.oneof(text, fc.constant('10.0.0.1'), fc.constant(undefined)), text, (remote, forwarded) => {
        expect(addresses.of(request(remote, forwarded)).length).toBeLessThanOrEqual(24);
      }),
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
