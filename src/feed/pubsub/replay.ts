import type { History } from '../broker/broker.js';
import { Notice, type PublishedMessage, resetType } from '../message/message.js';
import { formatPosition, type Position } from '../message/position.js';

/** Says how far a connection has come, where no message does. */
export class Mark {
  readonly position: string;

  constructor(position: Position) {
    this.position = formatPosition(position);
  }
}

export type ReplayItem = PublishedMessage | Notice | Mark;

/** What a new follower gets before what is live. */
export interface Replay {
  /** Whoever comes back with this position misses nothing of what it would have got. */
  readonly start: Position;
  /** In the order in which they are to go out. */
  readonly items: readonly ReplayItem[];
  /** By feed, the offset up to which the items have it: live messages up to there came before, or are among them. */
  readonly covered: ReadonlyMap<string, number>;
}

/** Puts the histories of several feeds together, in the order of their messages' offsets. */
export function replayOf(feeds: readonly string[], histories: readonly History[], isResumed: boolean): Replay {
  const positions = histories.map(({ after }) => after).sort((a, b) => a.offset - b.offset);
  const start = positions[0] as Position;
  // The feeds may have been read one after the other. What has come since the first was read is live: in the order of all.
  const end = Math.min(...histories.map((history) => history.end));
  const covered = new Map(feeds.map((feed) => [feed, end]));
  const messages = histories
    .flatMap((history) => history.messages)
    .filter(({ offset }) => offset <= end)
    .sort((a, b) => a.offset - b.offset);
  if (isResumed) {
    const resets = histories.flatMap((history, n) => (history.isReset ? [resetOf(feeds[n] as string, history.messages[0], start)] : []));
    return { start, items: [new Mark(start), ...resets, ...messages], covered };
  }
  // Whoever gets the last messages of several feeds has not seen what came on the others since: how far it has come, the mark says.
  const replayed = feeds.length > 1 ? messages.map((message) => at(message, start)) : messages;
  return { start, items: [...replayed, new Mark({ epoch: start.epoch, offset: end })], covered };
}

/** A message that says of its follower only where that began. */
function at({ feed, type, data }: PublishedMessage, position: Position): Notice {
  return new Notice(feed, type, data, `${formatPosition(position)}/${feed}`);
}

/**
 * Says that messages of a feed are lost.
 *
 * @param oldest the first that there is
 * @param position where its follower is after it; where it has none, it stays where it was
 */
export function resetOf(feed: string, oldest: PublishedMessage | undefined, position?: Position): Notice {
  return new Notice(feed, resetType, { feed, oldest: oldest?.id ?? null }, position && formatPosition(position));
}

/** A message for a follower that is further already. */
export function withoutPosition({ feed, type, data }: PublishedMessage): Notice {
  return new Notice(feed, type, data);
}
