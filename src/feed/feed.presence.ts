import { Injectable } from '@nestjs/common';
import * as v from 'valibot';
import { type Command, NodeQueries } from './cluster/node-queries.js';
import { type FeedUser, markLength, occupancyOf, usersOf } from './connection/feed-users.js';
import { badQuery, listLimit, mostListed } from './errors/query-rules.js';
import type { FeedRef } from './message/feed-definition.js';
import { checkFeedId, feedIdOf } from './message/feed-id.js';
import { Router } from './pubsub/router.js';

/** Which users of a feed are listed. */
export interface PresenceQuery {
  /** How many at most, from 1 to 1000. Default: 100. */
  readonly limit?: number | undefined;
  /** The subject behind which the list goes on: `next` of the one before. */
  readonly after?: string | undefined;
}

/** A user that follows a feed. */
export interface PresentUser {
  /** The subject of its tokens: the claim `sub`. */
  readonly subject: string;
  /** Its connections that follow the feed. */
  readonly connections: number;
  /** The claim `info` of the token of its newest connection; missing without one. */
  readonly info?: unknown;
}

/** Who follows a feed, over all nodes. */
export interface Presence {
  /** In the order of their subjects. */
  readonly users: readonly PresentUser[];
  /** Connections without a subject. */
  readonly anonymous: number;
  /** Where the list goes on; missing at its end. */
  readonly next?: string;
  /** The names of the nodes that have not answered within a second: their connections are not counted. */
  readonly missing: readonly string[];
}

/** How many follow a feed, over all nodes. */
export interface Occupancy {
  readonly connections: number;
  /** Different subjects among them. Of a node with more than 50,000, those beyond count as users of that node alone. */
  readonly users: number;
  /** Those of each node, this one's first. */
  readonly nodes: readonly { readonly name: string; readonly connections: number }[];
  /** The names of the nodes that have not answered within a second: their connections are not counted. */
  readonly missing: readonly string[];
}

interface PresenceArgument {
  readonly feed: string;
  readonly limit: number;
  readonly after?: string | undefined;
}

const number = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const text = v.optional(v.string());

const presence: Command<PresenceArgument, ReturnType<typeof usersOf>> = {
  name: 'presence',
  argument: v.object({ feed: v.string(), limit: v.pipe(number, v.maxValue(mostListed)), after: text }),
  answer: v.object({
    users: v.array(v.object({ subject: v.string(), connections: number, since: v.number(), info: text })),
    anonymous: number,
    hasMore: v.boolean(),
  }),
};

const occupancy: Command<string, ReturnType<typeof occupancyOf>> = {
  name: 'occupancy',
  argument: v.string(),
  answer: v.object({ connections: number, users: number, marks: v.string() }),
};

/** Tells who follows a feed. All nodes are asked when it is asked for: nothing is kept that could outlive a connection. */
@Injectable()
export class FeedPresence {
  constructor(
    private readonly queries: NodeQueries,
    router: Router,
  ) {
    queries.handle(presence, ({ feed, limit, after }) => usersOf(router, feed, limit, after));
    queries.handle(occupancy, (feed) => occupancyOf(router, feed));
  }

  async presence(feed: string | FeedRef, { limit: given, after }: PresenceQuery): Promise<Presence> {
    const limit = listLimit(given);
    if (after !== undefined && (typeof after !== 'string' || after === '')) throw badQuery('after is the subject of a token.');
    const argument = { feed: checkFeedId(feedIdOf(feed)), limit, ...(after !== undefined && { after }) };
    const { answers, missing } = await this.queries.ask(presence, argument);
    const { users, hasMore } = merged(answers.map(({ value }) => value));
    const page = users.slice(0, limit);
    const isCut = hasMore || users.length > limit;
    return {
      users: page.map(({ subject, connections, info }) => ({
        subject,
        connections,
        ...(info !== undefined && { info: JSON.parse(info) }),
      })),
      anonymous: answers.reduce((sum, { value }) => sum + value.anonymous, 0),
      ...(isCut && page.length > 0 && { next: page.at(-1)?.subject as string }),
      missing,
    };
  }

  async occupancy(feed: string | FeedRef): Promise<Occupancy> {
    const { answers, missing } = await this.queries.ask(occupancy, checkFeedId(feedIdOf(feed)));
    const marks = new Set<string>();
    let unmarked = 0;
    for (const { value } of answers) {
      const count = Math.floor(value.marks.length / markLength);
      for (let n = 0; n < count; n += 1) marks.add(value.marks.slice(n * markLength, (n + 1) * markLength));
      unmarked += Math.max(0, value.users - count);
    }
    return {
      connections: answers.reduce((sum, { value }) => sum + value.connections, 0),
      users: marks.size + unmarked,
      nodes: answers.map(({ node, value }) => ({ name: node, connections: value.connections })),
      missing,
    };
  }
}

/** The users of all nodes, up to the first one that is not known of a node that has more. */
function merged(pages: readonly { readonly users: readonly FeedUser[]; readonly hasMore: boolean }[]) {
  const bySubject = new Map<string, FeedUser>();
  let last: string | undefined;
  for (const { users, hasMore } of pages) {
    const end = hasMore ? users.at(-1)?.subject : undefined;
    if (end !== undefined && (last === undefined || end < last)) last = end;
    for (const user of users) bySubject.set(user.subject, sumOf(user, bySubject.get(user.subject)));
  }
  const users = [...bySubject.values()].filter(({ subject }) => last === undefined || subject <= last);
  return { users: users.sort((a, b) => (a.subject < b.subject ? -1 : 1)), hasMore: last !== undefined };
}

function sumOf(one: FeedUser, other: FeedUser | undefined): FeedUser {
  if (!other) return one;
  const newest = other.since > one.since ? other : one;
  return { ...newest, connections: one.connections + other.connections };
}
