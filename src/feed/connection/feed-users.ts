import { createHash } from 'node:crypto';
import type { Router } from '../pubsub/router.js';
import { Connection } from './connection.js';
import { firstPage } from './list-page.js';

/** The connections of one user on this node. */
export interface FeedUser {
  readonly subject: string;
  readonly connections: number;
  /** When its newest connection was opened, in milliseconds since 1970: `info` is that one's. */
  readonly since: number;
  /** The claim `info` of its token, in JSON. */
  readonly info?: string | undefined;
}

/** How many users of a node are told apart from those of others. */
const mostTold = 50_000;
/** How many characters of a hash stand for a user: a million of them share one by chance in fewer than one case of a hundred. */
export const markLength = 8;

/** What is found of a user. */
interface Present {
  readonly connections: number;
  readonly newest: Connection;
}

/** The open connections that follow a feed here. */
function* connectionsOf(router: Router, feed: string): IterableIterator<Connection> {
  for (const subscriber of router.topic(feed) ?? []) {
    if (subscriber instanceof Connection && subscriber.isOpen && subscriber.reason === undefined) yield subscriber;
  }
}

/** The users that follow a feed here, by their subjects, from behind one on; and the connections without a subject. */
export function usersOf(router: Router, feed: string, limit: number, after = '') {
  const bySubject = new Map<string, Present>();
  let anonymous = 0;
  for (const connection of connectionsOf(router, feed)) {
    const { subject } = connection.client;
    if (subject === undefined) anonymous += 1;
    else if (subject > after || after === '') {
      const { connections = 0, newest = connection } = bySubject.get(subject) ?? {};
      bySubject.set(subject, { connections: connections + 1, newest: connection.number > newest.number ? connection : newest });
    }
  }
  const subjects = [...bySubject.keys()].sort();
  const { page, hasMore } = firstPage(describeUsers(subjects, bySubject), limit);
  return { users: page, anonymous, hasMore };
}

function* describeUsers(subjects: readonly string[], bySubject: ReadonlyMap<string, Present>): IterableIterator<FeedUser> {
  for (const subject of subjects) {
    const { connections, newest } = bySubject.get(subject) as Present;
    const { info } = newest.client;
    yield { subject, connections, since: Date.now() - newest.durationMs, ...(info !== undefined && { info }) };
  }
}

/** How many connections follow a feed here, and a mark of each user, by which the same user is known on other nodes. */
export function occupancyOf(router: Router, feed: string): { connections: number; users: number; marks: string } {
  let connections = 0;
  const subjects = new Set<string>();
  for (const { client } of connectionsOf(router, feed)) {
    connections += 1;
    if (client.subject !== undefined) subjects.add(client.subject);
  }
  const marks = [...subjects]
    .slice(0, mostTold)
    .map((subject) => createHash('sha256').update(subject).digest('base64url').slice(0, markLength));
  return { connections, users: subjects.size, marks: marks.join('') };
}
