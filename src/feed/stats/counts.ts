import { type EndReason, endReasons } from './end-reason.js';

/** Why requests for a feed, and messages to one, are rejected. */
export const rejectReasons = [
  /** all connections are in use */
  'limit',
  /** a feed has as many subscribers as its rule allows */
  'feed',
  /** the client has as many as one may */
  'client',
  /** the client opens too many per minute */
  'rate',
  /** the client, or the holder of the publish key, publishes too many messages per minute */
  'publishRate',
  /** more is published to a feed per second than its rule allows */
  'feedRate',
  /** the message broker is unavailable, or slow */
  'broker',
  /** requests come faster than they can be opened */
  'overload',
  /** the service is shutting down */
  'draining',
] as const;

export type RejectReason = (typeof rejectReasons)[number];

/** The name of a node and the counts of its connections. */
export interface NodeCounts extends FeedCounts {
  name: string;
}

/** The counts of a process. */
export interface FeedCounts {
  /** Connections open now. */
  open: number;
  /** The most that were open at one time. */
  peak: number;
  /** All that were ever opened. */
  opened: number;
  /** Requests for a feed, and messages to one, that were rejected. */
  rejected: number;
  /** The same by reason. */
  rejectedBy: Record<RejectReason, number>;
  /** Connections that ended, by reason. */
  closed: Record<EndReason, number>;
  /** Feeds that have subscribers. */
  feeds: number;
  /** Open connections whose socket was taken out of Node's HTTP stack. */
  handedOver: number;
  /** Messages written, counted once for each connection. */
  messages: number;
  /** Bytes of those messages, without HTTP's framing. */
  bytes: number;
  /** Bytes that wait for clients to read. */
  bufferedBytes: number;
  /** The most connections that may be open, or null for no limit. */
  limit: number | null;
}

/** Those of them that are plain numbers, which several processes add up. */
export const addedCounts = ['open', 'peak', 'opened', 'rejected', 'feeds', 'handedOver', 'messages', 'bytes', 'bufferedBytes'] as const;

/** The counts of one feed. */
export interface FeedCount {
  id: string;
  /** Connections that follow it now. */
  open: number;
  /** Bytes that wait for its followers to read. */
  bufferedBytes: number;
}

/**
 * Adds up the counts of several processes. The sum of their peaks is the most connections that can have been open at one time; a feed
 * counts once for each process in which it has subscribers; `limit` is null where that of any process is.
 */
export function sumOf(all: readonly FeedCounts[]): FeedCounts {
  const sum = (count: (counts: FeedCounts) => number) => all.reduce((total, counts) => total + count(counts), 0);
  return {
    ...sumsBy(addedCounts, (name) => sum((counts) => counts[name])),
    rejectedBy: sumsBy(rejectReasons, (reason) => sum(({ rejectedBy }) => rejectedBy[reason])),
    closed: sumsBy(endReasons, (reason) => sum(({ closed }) => closed[reason])),
    limit: all.some(({ limit }) => limit === null) ? null : sum(({ limit }) => limit ?? 0),
  };
}

function sumsBy<Name extends string>(names: readonly Name[], sum: (name: Name) => number): Record<Name, number> {
  return Object.fromEntries(names.map((name) => [name, sum(name)])) as Record<Name, number>;
}
