import * as v from 'valibot';
import { type LimitOptions, limitOptionRules, resolveLimitOptions } from './limit.options.js';

const schema = v.partial(v.object(limitOptionRules));

describe('limitOptionRules', () => {
  it.each<LimitOptions>([
    {},
    { maxConnectionsPerClient: 0, connectionRatePerClient: 0, trustedProxies: [] },
    { maxConnectionsPerClient: 100, connectionRatePerClient: 60 },
    {
      trustedProxies: ['loopback', 'private', 'unix', '10.0.0.7', '10.0.0.0/8', '0.0.0.0/0', '::1', '2001:DB8::/32', '::ffff:10.0.0.0/104'],
    },
  ])('take %j', (options) => {
    expect(v.parse(schema, options)).toEqual(options);
  });

  it.each([
    { maxConnectionsPerClient: -1 },
    { maxConnectionsPerClient: 1.5 },
    { connectionRatePerClient: '60' },
    { connectionRatePerClient: Number.POSITIVE_INFINITY },
    { trustedProxies: 'loopback' },
    { trustedProxies: true },
    { trustedProxies: [1] },
    ...['', 'all', 'toString', 'proxy.example', '10.0.0', '10.0.0.1:80', '[::1]', '10.0.0.0/33', '::/129', '10.0.0.0/', '/8'].map(asProxy),
    ...['10.0.0.0/8/8', '10.0.0.0/255.0.0.0', '10.0.0.0/-1', 'fe80::1%eth0', 'loopback/8', ' ::1', '10.0.0.1,10.0.0.2'].map(asProxy),
  ])('refuse %j', (options) => {
    expect(v.safeParse(schema, options).issues?.[0].message).toMatch(/^must be /);
  });

  function asProxy(proxy: string) {
    return { trustedProxies: ['loopback', proxy] };
  }
});

describe('resolveLimitOptions', () => {
  it('fills in the defaults, and takes 0 for no limit', () => {
    const defaults = {
      maxConnectionsPerClient: Number.POSITIVE_INFINITY,
      connectionRatePerClient: Number.POSITIVE_INFINITY,
      trustedProxies: [],
    };
    expect(resolveLimitOptions({})).toEqual(defaults);
    expect(resolveLimitOptions({ maxConnectionsPerClient: undefined, connectionRatePerClient: 0 })).toEqual(defaults);
    const options = { maxConnectionsPerClient: 3, connectionRatePerClient: 60, trustedProxies: ['loopback'] };
    expect(resolveLimitOptions(options)).toEqual(options);
  });
});
