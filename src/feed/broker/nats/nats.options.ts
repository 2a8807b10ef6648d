import type { NodeConnectionOptions } from '@nats-io/transport-node';
import * as v from 'valibot';
import { FeedOptionsError } from '../../errors/feed-options.error.js';
import { checkOptions, wholeNumber } from '../../errors/option-rules.js';
import { type Address, addressOf } from '../address.js';

/** Where NATS is, and how this application's stream and subjects are named. */
export interface NatsBrokerOptions {
  /** `nats://[user:password@|token@]host1[:4222],host2…[?prefix=…&replicas=…]`, or `tls://…`. Default: none, see `servers`. */
  url?: string;
  /** Servers as `host[:port]`, instead of a URL. Default: `127.0.0.1:4222`. */
  servers?: string | readonly string[];
  /** Name of the stream and beginning of its subjects: 1 to 64 letters, digits, `-` and `_`. Default: `nestjs-feed`. */
  prefix?: string;
  /** How many servers of a cluster store the stream at least: 1 to 5. A stream that has more keeps them. Default: 1. */
  replicas?: number;
  /** Further options of the NATS client, such as `authenticator` and `tls`. Default: none. */
  client?: NatsClientOptions;
}

/** The options of the NATS client without those that the broker sets. */
export type NatsClientOptions = Omit<NodeConnectionOptions, (typeof ownOptions)[number]>;

const ownOptions = ['servers', 'port', 'timeout', 'reconnect', 'maxReconnectAttempts', 'waitOnFirstConnect'] as const;

/** The checked options, with defaults. */
export interface NatsSettings {
  readonly servers: readonly Address[];
  readonly prefix: string;
  readonly replicas: number;
  readonly client: NatsClientOptions;
}

const rules = {
  url: v.optional(v.string('must be a URL')),
  servers: v.optional(v.union([v.string(), v.array(v.string())], 'must be a host:port, or several')),
  prefix: v.optional(v.string('must be a string')),
  replicas: v.optional(wholeNumber('servers', 1, 5)),
  client: v.optional(v.custom<NatsClientOptions>((value) => typeof value === 'object', 'must be an object')),
};
const urlForm = /^(nats|tls):\/\/(?:([^@/?]+)@)?([^@/?]+)\/?(?:\?(.*))?$/;
const urlRule = 'nats://host1:4222,host2:4222 or tls://…, and optionally ?prefix= and &replicas=';

/** @throws FeedOptionsError */
export function settingsOf(options: string | NatsBrokerOptions): NatsSettings {
  const given = checkOptions('The NATS broker', rules, typeof options === 'string' ? { url: options } : options);
  if (given.url !== undefined && given.servers !== undefined) {
    throw new FeedOptionsError('The NATS broker takes either "url" or "servers"', 'servers');
  }
  const own = ownOptions.find((name) => given.client && name in given.client);
  if (own) throw new FeedOptionsError(`The NATS broker's option "client" cannot have "${own}": the broker sets it`, 'client');
  const url = given.url === undefined ? undefined : partsOf(given.url);
  const prefix = given.prefix ?? url?.prefix ?? 'nestjs-feed';
  if (!/^[\w-]{1,64}$/.test(prefix)) {
    throw new FeedOptionsError(`The NATS broker's prefix is 1 to 64 letters, digits, - and _, not ${JSON.stringify(prefix)}`, 'prefix');
  }
  return {
    servers: url?.servers ?? addressesOf([given.servers ?? '127.0.0.1:4222'].flat(), 'servers'),
    prefix,
    replicas: given.replicas ?? url?.replicas ?? 1,
    // An undefined `tls` must not switch off the URL's TLS.
    client: { ...url?.client, ...given.client, tls: given.client?.tls === undefined ? url?.client.tls : given.client.tls },
  };
}

function partsOf(url: string) {
  const [, protocol, credentials, hosts, query] = urlForm.exec(url) ?? [];
  // The error does not have the URL: it may have a password.
  if (!hosts) throw new FeedOptionsError(`The NATS broker's URL is ${urlRule}`, 'url');
  const parameters = new URLSearchParams(query);
  const unknown = [...parameters.keys()].find((name) => name !== 'prefix' && name !== 'replicas');
  if (unknown) throw new FeedOptionsError(`The NATS broker's URL is ${urlRule}: there is no ?${unknown}=`, 'url');
  const replicas = parameters.get('replicas') ?? undefined;
  if (replicas !== undefined && !/^[1-5]$/.test(replicas)) {
    throw new FeedOptionsError(`The NATS broker's replicas are 1 to 5 servers, not ${JSON.stringify(replicas)}`, 'replicas');
  }
  const client: NatsClientOptions = protocol === 'tls' ? { tls: {} } : {};
  try {
    const [user, ...pass] = credentials?.split(':').map((part, n) => (n === 0 ? decodeURIComponent(part) : part)) ?? [];
    if (pass.length > 0) Object.assign(client, { user, pass: decodeURIComponent(pass.join(':')) });
    else if (user) client.token = user;
  } catch {
    throw new FeedOptionsError("The NATS broker's URL holds a user, password or token that is not percent-encoded", 'url');
  }
  return {
    servers: addressesOf(hosts.split(','), 'url'),
    prefix: parameters.get('prefix') ?? undefined,
    replicas: replicas === undefined ? undefined : Number(replicas),
    client,
  };
}

function addressesOf(servers: readonly string[], option: string): Address[] {
  return servers.map((server) => {
    const address = addressOf(server.replace(/^nats:\/\//i, ''), 4222);
    if (!address) throw new FeedOptionsError(`A NATS server is a host:port, not ${JSON.stringify(server)}`, option);
    return address;
  });
}
