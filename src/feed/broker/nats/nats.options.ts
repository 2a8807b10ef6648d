import type { NodeConnectionOptions } from '@nats-io/transport-node';
import { FeedOptionsError } from '../../errors/feed-options.error.js';

/** Where NATS is, and how this application's stream and subjects are named. */
export interface NatsBrokerOptions {
  /** `nats://[user:password@|token@]host1[:4222],host2…[?prefix=…]`, or `tls://…`. Default: none, see `servers`. */
  url?: string;
  /** Servers as `host[:port]`, instead of a URL. Default: `127.0.0.1:4222`. */
  servers?: string | readonly string[];
  /** Name of the stream and beginning of its subjects: 1 to 64 letters, digits, `-` and `_`. Default: `nestjs-feed`. */
  prefix?: string;
  /** How many servers of a cluster store the stream: 1 to 5. Default: 1. */
  replicas?: number;
  /** Further options of the NATS client, such as `authenticator` and `tls`. Default: none. */
  client?: NatsClientOptions;
}

/** The options of the NATS client without those that the broker sets. */
export type NatsClientOptions = Omit<NodeConnectionOptions, (typeof ownOptions)[number]>;

const ownOptions = ['servers', 'port', 'timeout', 'reconnect', 'maxReconnectAttempts', 'waitOnFirstConnect'] as const;

export interface Address {
  readonly host: string;
  readonly port: number;
}

/** The checked options, with defaults. */
export interface NatsSettings {
  readonly servers: readonly Address[];
  readonly prefix: string;
  readonly replicas: number;
  readonly client: NatsClientOptions;
}

const names: readonly string[] = ['url', 'servers', 'prefix', 'replicas', 'client'] satisfies (keyof NatsBrokerOptions)[];
const urlForm = /^(nats|tls):\/\/(?:([^@/?]+)@)?([^@/?]+)\/?(?:\?(.*))?$/;
const urlRule = 'nats://host1:4222,host2:4222 or tls://…, and optionally ?prefix=';
const addressForm = /^(?:nats:\/\/)?(\[[\da-f:.]+\]|[\w.-]+)(?::(\d{1,5}))?$/i;

/** @throws FeedOptionsError */
export function settingsOf(options: string | NatsBrokerOptions): NatsSettings {
  const given = typeof options === 'string' ? { url: options } : options;
  const unknown = Object.keys(given).find((name) => !names.includes(name));
  if (unknown) throw new FeedOptionsError(`The NATS broker has no option "${unknown}"; it has ${names.join(', ')}`, unknown);
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
  const replicas = given.replicas ?? 1;
  if (!Number.isInteger(replicas) || replicas < 1 || replicas > 5) {
    throw new FeedOptionsError(`The NATS broker's replicas are 1 to 5, not ${replicas}`, 'replicas');
  }
  return {
    servers: url?.servers ?? addressesOf([given.servers ?? '127.0.0.1:4222'].flat(), 'servers'),
    prefix,
    replicas,
    // An undefined `tls` must not switch off the URL's TLS.
    client: { ...url?.client, ...given.client, tls: given.client?.tls === undefined ? url?.client.tls : given.client.tls },
  };
}

function partsOf(url: string) {
  const [, protocol, credentials, hosts, query] = urlForm.exec(url) ?? [];
  // The error does not have the URL: it may have a password.
  if (!hosts) throw new FeedOptionsError(`The NATS broker's URL is ${urlRule}`, 'url');
  const parameters = new URLSearchParams(query);
  const unknown = [...parameters.keys()].find((name) => name !== 'prefix');
  if (unknown) throw new FeedOptionsError(`The NATS broker's URL is ${urlRule}: there is no ?${unknown}=`, 'url');
  const client: NatsClientOptions = protocol === 'tls' ? { tls: {} } : {};
  try {
    const [user, ...pass] = credentials?.split(':').map((part, n) => (n === 0 ? decodeURIComponent(part) : part)) ?? [];
    if (pass.length > 0) Object.assign(client, { user, pass: decodeURIComponent(pass.join(':')) });
    else if (user) client.token = user;
  } catch {
    throw new FeedOptionsError("The NATS broker's URL holds a user, password or token that is not percent-encoded", 'url');
  }
  return { servers: addressesOf(hosts.split(','), 'url'), prefix: parameters.get('prefix') ?? undefined, client };
}

function addressesOf(servers: readonly string[], option: string): Address[] {
  return servers.map((server) => {
    const [, host, port = '4222'] = addressForm.exec(server) ?? [];
    if (!host || Number(port) < 1 || Number(port) > 65_535) {
      throw new FeedOptionsError(`A NATS server is a host:port, not ${JSON.stringify(server)}`, option);
    }
    return { host: host.replace(/^\[|\]$/g, ''), port: Number(port) };
  });
}
