import type { EndReason } from './end-reason.js';

interface AnyEvent {
  /** Identifies the event: it is the same wherever the event is told, and told again. */
  readonly id: string;
  /** When it happened, in milliseconds since 1970. */
  readonly time: number;
}

interface ConnectionEvent extends AnyEvent {
  /** The name of its node. */
  readonly node: string;
  /** Identifies its node's process: one that is restarted has the name of the one before, and counts its connections from 1 again. */
  readonly process: string;
  /** The connection's id: `<node>-<n>`. */
  readonly connection: string;
  /** The feeds that it follows; without a feed, the name that it is counted under. */
  readonly feeds: readonly string[];
  /** The subject of its token (the claim `sub`); undefined without a token. */
  readonly subject?: string;
}

/** A connection was opened; or it is still there, after others had told that it was lost. */
export interface FeedOpened extends ConnectionEvent {
  readonly type: 'opened';
}

/** A connection ended. */
export interface FeedClosed extends ConnectionEvent {
  readonly type: 'closed';
  /** `lost`: its node is lost, as one of the others tells; `feeds` are then those whose presence is told. */
  readonly reason: EndReason;
  /** How long it was open, in milliseconds. */
  readonly durationMs: number;
}

/** A feed got its first subscriber in this process, or lost its last. */
export interface FeedFollowed extends AnyEvent {
  readonly type: 'followed' | 'unfollowed';
  /** The name of the node. */
  readonly node: string;
  readonly feed: string;
}

/** Over all nodes, the first connection follows a feed, or the last has left it. One of the nodes tells, for feeds with `presence`. */
export interface FeedOccupied extends AnyEvent {
  readonly type: 'occupied' | 'vacated';
  readonly feed: string;
}

/** What `FeedService.events$` emits. */
export type FeedEvent = FeedOpened | FeedClosed | FeedFollowed | FeedOccupied;
