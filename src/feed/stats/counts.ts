import { type EndReason, endReasons } from './end-reason.js';

/** Why requests for a feed are refused before anything is kept for them. */
export const rejectReasons = [
  /** all connections are taken */
  'limit',
  /** the client has as many as one may */
  'client',
  /** the client opened too many lately */
  'rate',
  /** what keeps the feeds' messages is away */
  'broker',
  /** the service shuts down */
  'draining',
] as const;

export type RejectReason = (typeof rejectReasons)[number];

/** What `FeedService` knows of its connections. */
export interface FeedCounts {
  /** Connections open now. */
  open: number;
  /** The most that were open at one time. */
  peak: number;
  /** All that were ever opened. */
  opened: number;
  /** Requests for a feed that were refused, and why. */
  rejected: number;
  rejectedBy: Record<RejectReason, number>;
  /** Connections that ended, by reason. */
  closed: Record<EndReason, number>;
  /** Feeds that somebody follows. */
  feeds: number;
  /** Open connections whose socket was taken out of the HTTP stack. */
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

/** What `FeedService` knows of one feed. */
export interface FeedCount {
  id: string;
  /** Connections that follow it now. */
  open: number;
  /** Bytes that wait for its followers to read. */
  bufferedBytes: number;
}

/**
 * Puts the counts of several processes together, each of which it adds up: `peak`, which they need not have had at one time, is then the
 * most that there can have been, and a feed counts once for each process in which somebody follows it. `limit` is null where any is.
 */
export function sumOf(all: readonly FeedCounts[]): FeedCounts {
  const sum = (count: (counts: FeedCounts) => number) => all.reduce((total, counts) => total + count(counts), 0);
  return {
    open: sum(({ open }) => open),
    peak: sum(({ peak }) => peak),
    opened: sum(({ opened }) => opened),
    rejected: sum(({ rejected }) => rejected),
    rejectedBy: sumsBy(rejectReasons, (reason) => sum(({ rejectedBy }) => rejectedBy[reason])),
    closed: sumsBy(endReasons, (reason) => sum(({ closed }) => closed[reason])),
    feeds: sum(({ feeds }) => feeds),
    handedOver: sum(({ handedOver }) => handedOver),
    messages: sum(({ messages }) => messages),
    bytes: sum(({ bytes }) => bytes),
    bufferedBytes: sum(({ bufferedBytes }) => bufferedBytes),
    limit: all.some(({ limit }) => limit === null) ? null : sum(({ limit }) => limit ?? 0),
  };
}

function sumsBy<Reason extends string>(reasons: readonly Reason[], sum: (reason: Reason) => number): Record<Reason, number> {
  return Object.fromEntries(reasons.map((reason) => [reason, sum(reason)])) as Record<Reason, number>;
}
