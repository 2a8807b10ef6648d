import type { EndReason } from '../stats/end-reason.js';
import type { Connection } from './connection.js';
import { Poll } from './poll.js';

/** A connection, as operators see it. */
export interface ConnectionInfo {
  /** `<node>-<n>`: the name of its node, and its number there. Its client has got it as `Feed-Connection`. */
  readonly id: string;
  readonly node: string;
  /** The subject of its token; missing without one. */
  readonly subject?: string | undefined;
  /** Where its client comes from, as limits count clients: an IPv4 address, or an IPv6 network of 64 bits. */
  readonly address: string;
  /** The beginning of its `User-Agent`, 200 characters at most; missing without one. */
  readonly userAgent?: string | undefined;
  /** The feeds that it follows, 100 at most. */
  readonly feeds: readonly string[];
  /** When it was opened, in milliseconds since 1970. */
  readonly since: number;
  /** Messages that were written to it. */
  readonly messages: number;
  /** Their bytes, without HTTP's framing. */
  readonly bytes: number;
  /** Bytes that wait for its client. */
  readonly waitingBytes: number;
  /** When it last had nothing to wait for, or bytes left for its client, in milliseconds since 1970: exact to a second or so. */
  readonly progressAt: number;
  readonly format: string;
  /** `socket`: taken out of Node's HTTP stack; `response`: still in it; `poll`: a request that waits for messages. */
  readonly transport: 'socket' | 'response' | 'poll';
  /** How many positions it is behind the newest message of its feeds; positions count the messages of all feeds. 0 where it has everything. */
  readonly lag: number;
  /** Why it ended; missing while it is open. */
  readonly reason?: EndReason | undefined;
  /** When it ended, in milliseconds since 1970; missing while it is open. */
  readonly endedAt?: number | undefined;
}

/** Which connections are meant: those to which everything here applies. */
export interface ConnectionFilter {
  /** A connection's id. */
  readonly connection?: string | undefined;
  /** The subject of its token. */
  readonly subject?: string | undefined;
  /** One of the feeds that it follows. */
  readonly feed?: string | undefined;
  /** The id of its token: the claim `jti`. */
  readonly token?: string | undefined;
  /** Where its client comes from, as `ConnectionInfo` has it. */
  readonly address?: string | undefined;
  /** The name of its node. */
  readonly node?: string | undefined;
}

/** How many feeds of a connection are listed. */
const mostFeeds = 100;
/** The address of a client that has none. */
const unknownAddress = 'unknown';
/** How many connections that ended are remembered. */
const mostEnded = 1000;

/** What connections are found by; the id of its token is not known any more of one that has ended. */
type Found = Pick<ConnectionInfo, 'id' | 'node' | 'subject' | 'address' | 'feeds'> & { readonly tokenId?: string | undefined };

/** For each part of a filter, whether it applies. */
const conditions: { readonly [Name in keyof Required<ConnectionFilter>]: (found: Found, value: string) => boolean } = {
  connection: ({ id }, value) => id === value,
  subject: ({ subject }, value) => subject === value,
  feed: ({ feeds }, value) => feeds.includes(value),
  token: ({ tokenId }, value) => tokenId === value,
  address: ({ address }, value) => address === value,
  node: ({ node }, value) => node === value,
};
const filterNames = Object.keys(conditions) as (keyof typeof conditions)[];

function meets(found: Found, filter: ConnectionFilter): boolean {
  return filterNames.every((name) => filter[name] === undefined || conditions[name](found, filter[name]));
}

/** Whether a filter means a connection. */
export function matches({ id, context, client, feeds }: Connection, filter: ConnectionFilter): boolean {
  const { subject, address = unknownAddress, tokenId } = client;
  return meets({ id, node: context.nodeName, subject, address, feeds, tokenId }, filter);
}

/** The connections that ended last. */
export class EndedConnections {
  private readonly all: ConnectionInfo[] = [];
  private next = 0;

  add(info: ConnectionInfo): void {
    this.all[this.next] = info;
    this.next = (this.next + 1) % mostEnded;
  }

  /** The newest first. */
  *newest(filter: ConnectionFilter): IterableIterator<ConnectionInfo> {
    const { all, next } = this;
    for (let n = 1; n <= all.length; n += 1) {
      const info = all[(next - n + all.length) % all.length] as ConnectionInfo;
      if (meets(info, filter)) yield info;
    }
  }
}

function lagOf({ feeds, context, sentOffset, bufferedBytes }: Connection): number {
  if (sentOffset === 0 || bufferedBytes === 0) return 0;
  return Math.max(0, ...feeds.map((feed) => (context.router.topic(feed)?.newest ?? 0) - sentOffset));
}

export function describe(connection: Connection): ConnectionInfo {
  const { client, feeds, context, durationMs } = connection;
  const { subject, address = unknownAddress, userAgent } = client;
  const now = Date.now();
  return {
    id: connection.id,
    node: context.nodeName,
    ...(subject !== undefined && { subject }),
    address,
    ...(userAgent !== undefined && { userAgent }),
    feeds: feeds.slice(0, mostFeeds),
    since: now - durationMs,
    messages: connection.messages,
    bytes: connection.bytes,
    waitingBytes: connection.bufferedBytes,
    progressAt: connection.bufferedBytes === 0 ? now : now - context.keepAlive.msSince(connection.progressBeat),
    ...(connection instanceof Poll
      ? { format: 'json', transport: 'poll' }
      : { format: connection.format, transport: connection.isHandedOver ? 'socket' : 'response' }),
    lag: lagOf(connection),
    ...(connection.reason !== undefined && { reason: connection.reason, endedAt: now }),
  };
}
