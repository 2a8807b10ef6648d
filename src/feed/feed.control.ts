import { Injectable } from '@nestjs/common';
import * as v from 'valibot';
import { longestName } from './auth/grant.js';
import { type Revocation, Revocations, type Revoked } from './auth/revocations.js';
import { type Answers, type Command, NodeQueries } from './cluster/node-queries.js';
import { parseConnectionId } from './connection/connection-id.js';
import type { ConnectionFilter, ConnectionInfo } from './connection/connection-list.js';
import { Registry } from './connection/registry.js';
import { FeedException } from './errors/feed-exception.js';
import { badQuery, listLimit, mostListed } from './errors/query-rules.js';
import { throwFeedException } from './errors/to-feed-exception.js';
import type { FeedRef } from './message/feed-definition.js';
import { checkFeedId, feedIdOf } from './message/feed-id.js';
import { timeIn } from './message/position.js';
import { addedCounts, type FeedCounts, type NodeCounts, rejectReasons } from './stats/counts.js';
import { type EndReason, endReasons } from './stats/end-reason.js';

/** The longest reason that a client is told, in characters. */
const longestReason = 200;
/** The longest time for which one can be, in milliseconds. */
const longestRevocationMs = 10 * 366 * 86_400_000;

/** Which connections are listed. */
export interface ConnectionQuery extends ConnectionFilter {
  /** `open` ones by node and number, or those that have `ended`, the newest first: the last 1,000 of each node. Default: `open`. */
  readonly state?: 'open' | 'ended' | undefined;
  /** Those of this `node`, or of all nodes that share the broker. Default: `cluster`. */
  readonly scope?: 'node' | 'cluster' | undefined;
  /** How many at most, from 1 to 1000. Default: 100. */
  readonly limit?: number | undefined;
  /** The id of the connection behind which the list goes on: `next` of the one before. Open connections only. */
  readonly after?: string | undefined;
}

/** Some of the connections. */
export interface ConnectionPage {
  readonly connections: readonly ConnectionInfo[];
  /** Where the list goes on; missing at its end. */
  readonly next?: string;
  /** The names of the nodes that have not answered within a second: their connections are not listed. */
  readonly missing: readonly string[];
}

/** What the clients of connections are told that are ended from outside. */
export interface DisconnectOptions {
  /** Why, in words for the client: 200 characters at most. Default: `The connection was ended by an operator.` */
  readonly reason?: string | undefined;
  /** Whether clients may reconnect. `EventSource` and `nestjs-feed/client` then do not; others are only told. Default: true. */
  readonly reconnect?: boolean | undefined;
}

/** How many connections were ended. */
export interface EndedCount {
  /** On all nodes that have answered. */
  readonly ended: number;
  readonly nodes: readonly { readonly name: string; readonly ended: number }[];
  /**
   * The names of the nodes that have not answered within a second: whether they have ended any is not known. What they were asked is not
   * kept for them, unless it is a revocation: ask again.
   */
  readonly missing: readonly string[];
}

const text = v.optional(v.string());
const filterEntries = { connection: text, subject: text, feed: text, token: text, address: text, node: text };
const filterNames: readonly string[] = Object.keys(filterEntries);
const number = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
/** A node of another version may not have every count. */
const count = v.optional(number, 0);

const counts: Command<null, FeedCounts> = {
  name: 'counts',
  argument: v.null(),
  answer: v.object({
    ...v.entriesFromList(addedCounts, count),
    rejectedBy: v.optional(v.object(v.entriesFromList(rejectReasons, count)), {}),
    closed: v.optional(v.object(v.entriesFromList(endReasons, count)), {}),
    limit: v.optional(v.nullable(number), null),
  }) as v.GenericSchema<unknown, FeedCounts>,
};

interface ListArgument extends ConnectionFilter {
  readonly state: 'open' | 'ended';
  readonly limit: number;
  readonly after?: string | undefined;
}

interface NodePage {
  readonly connections: readonly ConnectionInfo[];
  readonly hasMore: boolean;
}

const list: Command<ListArgument, NodePage> = {
  name: 'connections',
  argument: v.object({
    ...filterEntries,
    state: v.picklist(['open', 'ended']),
    limit: v.pipe(number, v.maxValue(mostListed)),
    after: text,
  }) as v.GenericSchema<unknown, ListArgument>,
  answer: v.object({
    connections: v.array(v.looseObject({ id: v.string(), node: v.string(), feeds: v.array(v.string()) })),
    hasMore: v.boolean(),
  }) as unknown as v.GenericSchema<unknown, NodePage>,
};

/** Which tokens are revoked, and until when. */
export interface RevokeOptions extends Revoked {
  /** Until when they are refused: a `Date`, milliseconds since 1970, or text of RFC 3339. The time at which the last of them expires is enough. */
  readonly until: Date | number | string;
}

/** One that names neither, which any program that reaches the server could send, would end all connections. */
const revoke: Command<Revocation, number> = {
  name: 'revoke',
  argument: v.union([v.strictObject({ subject: v.string(), until: number }), v.strictObject({ jti: v.string(), until: number })]),
  answer: number,
};

interface EndArgument extends ConnectionFilter {
  readonly reason: EndReason;
  readonly message?: string | undefined;
  readonly isFinal?: boolean | undefined;
}

const end: Command<EndArgument, number> = {
  name: 'end',
  argument: v.object({
    ...filterEntries,
    reason: v.picklist(endReasons),
    message: text,
    isFinal: v.optional(v.boolean()),
  }) as v.GenericSchema<unknown, EndArgument>,
  answer: number,
};

/** Lists and ends connections on all nodes that share the broker. */
@Injectable()
export class FeedControl {
  constructor(
    private readonly queries: NodeQueries,
    private readonly registry: Registry,
    readonly revocations: Revocations,
  ) {
    queries.handle(counts, () => registry.counts());
    queries.handle(list, (query) => this.listOwn(query));
    queries.handle(end, (argument) => this.endOwn(argument));
    queries.handle(revoke, (argument) => this.revokeOwn(argument));
  }

  /** The counts of each node, this one's first. */
  async counts(): Promise<{ nodes: NodeCounts[]; missing: readonly string[] }> {
    const { answers, missing } = await this.queries.ask(counts, null);
    return { nodes: answers.map(({ node, value }) => ({ name: node, ...value })), missing };
  }

  async connections(query: ConnectionQuery): Promise<ConnectionPage> {
    const { state = 'open', scope = 'cluster', limit: given, ...rest } = query;
    const limit = listLimit(given);
    checkQuery(query);
    const { after, ...filter } = rest;
    const argument = { ...checked(filter), ...(after !== undefined && { after }), state, limit };
    if (scope === 'node')
      return pageOf({ answers: [{ node: this.registry.nodeName, value: this.listOwn(argument) }], missing: [] }, limit, state);
    return pageOf(await this.queries.ask(list, argument), limit, state);
  }

  async disconnect(filter: ConnectionFilter, { reason: message, reconnect = true }: DisconnectOptions): Promise<EndedCount> {
    const given = checked(filter);
    if (Object.keys(given).length === 0) {
      throw badQuery(`Specify which connections to end: ${filterNames.join(', ')}.`);
    }
    if (message !== undefined && (typeof message !== 'string' || message === '' || message.length > longestReason)) {
      throw badQuery(`reason is a text of 1 to ${longestReason} characters.`);
    }
    if (typeof reconnect !== 'boolean') throw badQuery('reconnect is true or false.');
    return this.end({ ...given, reason: 'disconnected', message, isFinal: !reconnect });
  }

  async endFeed(feed: string | FeedRef | undefined, reason: EndReason): Promise<EndedCount> {
    if (!endReasons.includes(reason)) throw badQuery(`The reason is one of ${endReasons.join(', ')}.`);
    return this.end({ feed: feed === undefined ? undefined : checkFeedId(feedIdOf(feed)), reason });
  }

  async revoke({ subject, jti, until: given }: RevokeOptions): Promise<EndedCount & { until: number }> {
    if ((subject === undefined) === (jti === undefined))
      throw badQuery('Revoke the tokens of a subject, or the one with a jti: give one of the two.');
    for (const name of [subject, jti]) {
      if (name !== undefined && (typeof name !== 'string' || name === '' || name.length > longestName)) {
        throw badQuery(`subject and jti are texts of 1 to ${longestName} characters.`);
      }
    }
    const until = timeOf(given);
    const revoked = subject === undefined ? { jti } : { subject };
    const stored = this.revocations.store(revoked, until);
    stored.catch(() => {}); // those that can be reached are told before
    const count = countOf(await this.queries.ask(revoke, { ...revoked, until }));
    await stored.catch(throwFeedException);
    return { ...count, until };
  }

  async end(argument: EndArgument): Promise<EndedCount> {
    return countOf(await this.queries.ask(end, argument));
  }

  private listOwn({ state, limit, after, ...filter }: ListArgument): NodePage {
    return this.registry.list(filter, { isEnded: state === 'ended', limit, after });
  }

  private revokeOwn({ subject, jti, until }: Revocation): number {
    this.revocations.add({ subject, jti }, until);
    return this.endOwn({ subject, token: jti, reason: 'revoked' });
  }

  private endOwn({ reason, message, isFinal = false, ...filter }: EndArgument): number {
    const code = reason === 'revoked' ? 'FEED_REVOKED' : reason === 'disconnected' ? 'FEED_DISCONNECTED' : undefined;
    const error = code && new FeedException(code, message === undefined ? {} : { message });
    return this.registry.endAll(filter, reason, error && { error, isFinal });
  }
}

function countOf({ answers, missing }: Answers<number>): EndedCount {
  const nodes = answers.map(({ node, value }) => ({ name: node, ended: value }));
  return { ended: nodes.reduce((sum, { ended }) => sum + ended, 0), nodes, missing };
}

/** @throws FeedException FEED_QUERY (400) */
function timeOf(until: unknown): number {
  const time = until instanceof Date ? until.getTime() : typeof until === 'string' ? timeIn(until) : until;
  if (typeof time !== 'number' || !Number.isSafeInteger(time)) {
    throw badQuery('until is required: when the revoked tokens have expired, in milliseconds since 1970, or as 2030-01-31T12:00:00Z.');
  }
  const ms = time - Date.now();
  if (ms <= 0) throw badQuery('until is in the past.');
  if (ms > longestRevocationMs) throw badQuery('until is more than ten years ahead: is it in milliseconds?');
  return time;
}

/** @throws FeedException FEED_QUERY (400) */
function checkQuery({ state = 'open', scope = 'cluster', after, token }: ConnectionQuery): void {
  if (state !== 'open' && state !== 'ended') throw badQuery('state is open or ended.');
  if (scope !== 'node' && scope !== 'cluster') throw badQuery('scope is node or cluster.');
  // What a token's id was is not remembered of a connection.
  if (token !== undefined && state === 'ended') throw badQuery('token goes with open connections.');
  if (after === undefined) return;
  if (state === 'ended') throw badQuery('after goes with open connections.');
  if (!parseConnectionId(after)) throw badQuery("after is a connection's id.");
}

/**
 * The parts of a filter that are there.
 *
 * @throws FeedException FEED_ID (400) for a feed that cannot be one; FEED_QUERY (400) for what is no text
 */
function checked(filter: ConnectionFilter): ConnectionFilter {
  const given = Object.entries(filter).filter(([, value]) => value !== undefined);
  for (const [name, value] of given) {
    // What is misspelt would otherwise mean more connections than it says, and on its own all of them.
    if (!filterNames.includes(name)) throw badQuery(`Connections are not told by their ${name}, but by ${filterNames.join(', ')}.`);
    if (name === 'feed') checkFeedId(value);
    else if (typeof value !== 'string' || value === '') throw badQuery(`${name} is a text.`);
  }
  return Object.fromEntries(given);
}

/** Open connections are in the order of their nodes' names: what follows a node that has more comes after those. */
function pageOf({ answers, missing }: Answers<NodePage>, limit: number, state: 'open' | 'ended'): ConnectionPage {
  if (state === 'ended') {
    const all = answers.flatMap(({ value }) => value.connections).sort((a, b) => (b.endedAt as number) - (a.endedAt as number));
    return { connections: all.slice(0, limit), missing };
  }
  const connections: ConnectionInfo[] = [];
  let hasMore = false;
  for (const { value } of [...answers].sort((a, b) => (a.node < b.node ? -1 : 1))) {
    if (hasMore) break;
    connections.push(...value.connections);
    hasMore = value.hasMore;
  }
  hasMore ||= connections.length > limit;
  const page = connections.slice(0, limit);
  return { connections: page, ...(hasMore && { next: page.at(-1)?.id as string }), missing };
}
