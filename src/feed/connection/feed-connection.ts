import type { EndReason } from '../stats/end-reason.js';

/** One HTTP response held open, as an application uses it. */
export interface FeedConnection {
  /** `<node>-<n>`: the name of this node, and the connection's number there. Its client gets it as `Feed-Connection`. */
  readonly id: string;
  /** Its number, counted from 1 since the process started. */
  readonly number: number;
  /** The feeds that it follows; without a feed, the name that it is counted under. */
  readonly feeds: readonly string[];
  /** Why it ended; undefined while it is open. */
  readonly reason: EndReason | undefined;
  /** Bytes that wait for its client. */
  readonly bufferedBytes: number;
  /** Whether its socket was taken out of Node's HTTP stack. */
  readonly isHandedOver: boolean;
  /** How long it has been open, in milliseconds. */
  readonly durationMs: number;
  /**
   * Follows one more feed.
   *
   * @param since where to begin, as in `HistoryOptions`. Default: with the next message, and what the feed's rule replays, or its
   * snapshot. Messages from before this call come without an id: the connection is further already on its other feeds
   * @throws FeedException FEED_ID, FEED_SINCE (400), FEED_UNAVAILABLE (503) where the feed has as many subscribers as it may have or its
   * snapshot fails, FEED_BROKER (503); the connection then goes on without the feed
   */
  follow(feed: string, since?: string): Promise<void>;
  /**
   * Stops following a feed.
   *
   * @returns whether it followed the feed until now
   */
  unfollow(feed: string): boolean;
  /**
   * Ends the connection. Its source ends at once; what waits for the client is sent before its response ends in good order, except for the
   * reasons `client`, `slow`, `stalled` and `expired`.
   *
   * @param reason counted and shown with it. Default: `completed`
   */
  end(reason?: EndReason): void;
}
