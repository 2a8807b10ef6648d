import { nanos } from '@nats-io/transport-node';
import { allBounds, boundsOf, type HistoryBounds, longestTtlMs } from '../history-bounds.js';

/** The shortest time that NATS accepts. */
const leastAgeMs = 100;
/**
 * Messages of each feed that the stream stores at least: a consumer misses messages that are trimmed before they are delivered, and a
 * burst may be published faster than it is delivered. A process's own log stores no more than the bounds of history.
 */
export const leastLength = 2048;
/** Bytes that the stream stores at least: fewer would be filled by a few large messages. */
const leastBytes = 16 * 2 ** 20;

/** What each process stores of a feed is up to its own log: the stream has room for the feed with the widest bounds. */
export function limitsOf(bounds: HistoryBounds, replicas: number) {
  const all = allBounds(bounds);
  const longest = longestTtlMs(bounds);
  const keepsNewest = all.some(({ keepNewest }) => keepNewest);
  return {
    max_msgs_per_subject: Math.max(leastLength, ...all.map(({ historyLength }) => historyLength)),
    // NATS knows no key for longer than a message. Where newest messages stay, all do, unless they have a time to live of their own.
    max_age: keepsNewest ? 0 : nanos(Math.max(longest, bounds.idempotencyMs, leastAgeMs)),
    max_bytes: Math.max(bounds.historyTotalBytes, leastBytes),
    duplicate_window: nanos(Math.max(bounds.idempotencyMs, leastAgeMs)),
    num_replicas: replicas,
    // Before 2.11, NATS ignores this, and processes alone keep to the times of single feeds.
    ...((keepsNewest || all.some(({ historyTtlMs }) => historyTtlMs < longest)) && { allow_msg_ttl: true }),
  };
}

/**
 * The time to live that a message has of its own, in seconds; undefined where the stream's is as short. Where the newest message of a feed
 * stays, none has: each may be the newest, and an end has to be there as long as what came before it. NATS knows a key for no longer than
 * its message.
 *
 * @param streamMs the stream's time to live, in milliseconds
 */
export function ttlOf(bounds: HistoryBounds, feed: string, hasKey: boolean, streamMs: number): string | undefined {
  const { historyTtlMs, keepNewest } = boundsOf(bounds, feed);
  const ms = Math.max(historyTtlMs, hasKey ? bounds.idempotencyMs : 1);
  return keepNewest || ms >= streamMs ? undefined : `${Math.ceil(ms / 1000)}`;
}
