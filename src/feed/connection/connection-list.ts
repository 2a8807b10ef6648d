import type { Client } from '../limits/admission.js';
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
/** How many connections that ended are remembered. */
const mostEnded = 1000;

/** Whether a filter means a connection; the id of its token is not known once it has ended. */
export function matches(
  connection: Pick<ConnectionInfo, 'id' | 'feeds'>,
  client: Partial<Pick<Client, 'subject' | 'address' | 'tokenId'>>,
  filter: ConnectionFilter,
): boolean {
  return (
    (filter.connection === undefined || filter.connection === connection.id) &&
    (filter.subject === undefined || filter.subject === client.subject) &&
    (filter.address === undefined || filter.address === client.address) &&
    (filter.token === undefined || filter.token === client.tokenId) &&
    (filter.feed === undefined || connection.feeds.includes(filter.feed))
  );
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
      if (matches(info, info, filter)) yield info;
    }
  }
}

function lagOf({ feeds, context, sentOffset, bufferedBytes }: Connection): number {
  if (sentOffset === 0 || bufferedBytes === 0) return 0;
  return Math.max(0, ...feeds.map((feed) => (context.router.topic(feed)?.newest ?? 0) - sentOffset));
}

export function describe(connection: Connection): ConnectionInfo {
  const { client, feeds, context, durationMs } = connection;
  const { subject, address = 'unknown', userAgent } = client;
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
