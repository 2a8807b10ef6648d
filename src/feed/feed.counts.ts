import type { CloseReason } from './connection/close-reason.js';

/** What `FeedService` knows of its connections. */
export interface FeedCounts {
  /** Connections open now. */
  open: number;
  /** The most that were open at one time. */
  peak: number;
  /** All that were ever opened. */
  opened: number;
  /** Requests that were refused for the limit or a shutdown. */
  rejected: number;
  /** Connections that ended, by reason. */
  closed: Record<CloseReason, number>;
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
