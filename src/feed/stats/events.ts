import type { EndReason } from './end-reason.js';

interface ConnectionEvent {
  /** When it happened, in milliseconds since 1970. */
  readonly time: number;
  /** The name of its node. */
  readonly node: string;
  /** The connection's id: `<node>-<n>`. */
  readonly connection: string;
  /** The feeds that it follows; without a feed, the name that it is counted under. */
  readonly feeds: readonly string[];
  /** The subject of its token (the claim `sub`); undefined without a token. */
  readonly subject?: string;
}

/** A connection was opened. */
export interface FeedOpened extends ConnectionEvent {
  readonly type: 'opened';
}

/** A connection ended. */
export interface FeedClosed extends ConnectionEvent {
  readonly type: 'closed';
  readonly reason: EndReason;
  /** How long it was open, in milliseconds. */
  readonly durationMs: number;
}

/** A feed got its first subscriber in this process, or lost its last. */
export interface FeedPresence {
  readonly type: 'followed' | 'unfollowed';
  readonly time: number;
  readonly feed: string;
}

/** What `FeedService.events$` emits. */
export type FeedEvent = FeedOpened | FeedClosed | FeedPresence;
