import type { Broker, History } from '../broker/broker.js';
import { BrokerUnavailableError } from '../errors/broker.errors.js';
import { resetType, type StoredMessage, type TextMessage } from '../message/message.js';
import { formatPosition, type Position, type Start } from '../message/position.js';

/** How many bytes of a feed are read at once at least: a read for each small message would cost more than it saves. */
const leastBytes = 1024;

/** Tells a client how far it has come, where no message does. */
export class Mark {
  readonly position: string;

  constructor(position: Position) {
    this.position = formatPosition(position);
  }
}

/** What a replay sends: stored messages, a `reset`, and marks that move the client's position without a message. */
export type ReplayItem = StoredMessage | TextMessage | Mark;

/** Where a replay begins. */
interface ReplayStart {
  readonly feeds: readonly string[];
  /** Where to begin on each feed. */
  readonly startOf: (feed: string) => Start;
  /** Whether the reader resumes: it then gets its position first, and is told which feeds have lost messages. */
  readonly isResumed: boolean;
  /** How many bytes of text may be read ahead, over all feeds. */
  readonly pageBytes: number;
  /** Whether its messages leave the reader's position where it is, since that is further already on other feeds. Default: false. */
  readonly hidesPositions?: boolean;
}

/** How far one feed has been read. */
class Cursor {
  private messages: readonly StoredMessage[] = [];
  private taken = 0;
  end = 0;
  hasMore = false;

  constructor(readonly feed: string) {}

  get next(): StoredMessage | undefined {
    return this.messages[this.taken];
  }

  get waitingBytes(): number {
    let bytes = 0;
    for (let n = this.taken; n < this.messages.length; n += 1) bytes += (this.messages[n] as StoredMessage).text.length;
    return bytes;
  }

  take(): void {
    this.taken += 1;
  }

  load({ messages, end, hasMore }: History): void {
    this.messages = messages;
    this.taken = 0;
    this.end = end;
    this.hasMore = hasMore;
  }
}

/**
 * Reads what a broker stores of some feeds, in the order of their messages' offsets, a page at a time: a page is read when the one
 * before it has been taken, so that a slow reader costs a page of memory, however long the history is.
 */
export class Replay {
  /** A client that resumes from this position misses nothing of what the replay sends. */
  readonly start: Position;
  feeds: readonly string[];
  /** Whether it begins with the oldest messages stored, and older ones are gone. */
  readonly isCut: boolean;
  /** The offset up to which the replay has, or will have, all messages of its feeds: a live one up to there is a repetition. */
  end = Number.POSITIVE_INFINITY;
  /** The first live message that waits in the queue already: the replay ends before it. */
  private limit = Number.POSITIVE_INFINITY;
  private readonly hidesPositions: boolean;
  private readonly ready: ReplayItem[];

  private constructor(
    private readonly broker: Broker,
    private cursors: readonly Cursor[],
    histories: readonly History[],
    private readonly limitBytes: number,
    { feeds, startOf, isResumed, hidesPositions = false }: ReplayStart,
  ) {
    this.feeds = feeds;
    this.hidesPositions = hidesPositions;
    const positions = histories.map(({ after }) => after).sort((a, b) => a.offset - b.offset);
    this.start = positions[0] as Position;
    this.ready = isResumed ? [new Mark(this.start)] : [];
    let isCut = false;
    for (const [n, history] of histories.entries()) {
      const cursor = cursors[n] as Cursor;
      cursor.load(history);
      if (!history.isReset) continue;
      if (startOf(cursor.feed) === 'earliest') isCut = true;
      else if (isResumed) this.ready.push(resetOf(cursor.feed, cursor.next, this.start));
    }
    this.isCut = isCut;
    this.updateEnd();
    if (!isResumed) this.replayNewest();
  }

  /** @throws what the broker fails with */
  static async open(broker: Broker, start: ReplayStart): Promise<Replay> {
    const { feeds, startOf, pageBytes } = start;
    const limitBytes = Math.max(leastBytes, Math.ceil(pageBytes / Math.max(1, feeds.length)));
    // A connection without a feed has a position, too.
    const reads = feeds.length > 0 ? feeds.map((feed) => broker.read(feed, startOf(feed), limitBytes)) : [broker.read('', 'end', 0)];
    const cursors = feeds.length > 0 ? feeds.map((feed) => new Cursor(feed)) : [new Cursor('')];
    return new Replay(broker, cursors, await Promise.all(reads), limitBytes, start);
  }

  /** Ends the replay before a live message that its reader has already. */
  limitTo({ feed, offset }: StoredMessage): void {
    if (offset > this.limit || !this.feeds.includes(feed)) return;
    this.limit = offset - 1;
    this.updateEnd();
  }

  /** Replays no more of a feed. */
  unfollow(feed: string): void {
    this.feeds = this.feeds.filter((other) => other !== feed);
    this.cursors = this.cursors.filter((cursor) => cursor.feed !== feed);
    this.updateEnd();
  }

  /** Whether everything up to the end has been taken. */
  get isDone(): boolean {
    return !this.hasItem && !this.isLimited;
  }

  /** Whether the next item has to be read first. */
  get needsRead(): boolean {
    return !this.hasItem && this.isLimited;
  }

  /** The next item; undefined where it has to be read first, and when the replay is done. */
  take(): ReplayItem | undefined {
    const item = this.ready.length > 0 ? this.ready.shift() : this.takeMessage();
    if (!this.hidesPositions || item === undefined) return item;
    return item instanceof Mark ? this.take() : withoutPosition(item);
  }

  /** Bytes that were read and not taken. */
  get waitingBytes(): number {
    return this.cursors.reduce((sum, { waitingBytes }) => sum + waitingBytes, 0);
  }

  /**
   * Reads on, on the feeds of which all that was read has been taken.
   *
   * @throws what the broker fails with
   */
  async read(): Promise<void> {
    const { epoch } = this.start;
    const empty = this.cursors.filter(({ next, hasMore }) => hasMore && next === undefined);
    const histories = await Promise.all(empty.map(({ feed, end }) => this.broker.read(feed, { epoch, offset: end }, this.limitBytes)));
    for (const [n, history] of histories.entries()) {
      if (history.after.epoch !== epoch) throw new BrokerUnavailableError('The broker has lost its messages.');
      const cursor = empty[n] as Cursor;
      cursor.load(history);
      if (history.isReset) this.ready.push(resetOf(cursor.feed, cursor.next));
    }
    this.updateEnd();
  }

  private updateEnd(): void {
    this.end = this.cursors.reduce((least, { end }) => Math.min(least, end), this.limit);
  }

  private takeMessage(): StoredMessage | undefined {
    const cursor = this.next();
    const message = cursor?.next;
    cursor?.take();
    return message;
  }

  private get hasItem(): boolean {
    return this.ready.length > 0 || this.next() !== undefined;
  }

  /** Whether a feed that has not been read to its end keeps the messages of the others from being sent. */
  private get isLimited(): boolean {
    const { end } = this;
    return this.cursors.some((cursor) => cursor.hasMore && cursor.end === end);
  }

  /** The feed whose turn it is: messages go out in the order of all feeds, so none may be newer than what is still to be read. */
  private next(): Cursor | undefined {
    const { end } = this;
    let first: Cursor | undefined;
    for (const cursor of this.cursors) {
      const offset = cursor.next?.offset ?? Number.POSITIVE_INFINITY;
      if (offset <= end && offset < (first?.next?.offset ?? Number.POSITIVE_INFINITY)) first = cursor;
    }
    return first;
  }

  /**
   * A reader that gets the newest messages of several feeds has not seen what the others had since: its position is that of the mark
   * behind them.
   */
  private replayNewest(): void {
    const { end, start, cursors } = this;
    for (let cursor = this.next(); cursor; cursor = this.next()) {
      const message = cursor.next as StoredMessage;
      this.ready.push(cursors.length > 1 ? messageAt(message, start) : message);
      cursor.take();
    }
    this.ready.push(new Mark({ epoch: start.epoch, offset: end }));
  }
}

/** A message that tells its reader no more than where the replay began. */
function messageAt({ feed, type, text, isJson }: StoredMessage, position: Position): TextMessage {
  return { id: `${formatPosition(position)}/${feed}`, feed, type, text, isJson };
}

/**
 * The message that tells a reader that messages of a feed are lost.
 *
 * @param oldest the first that is stored
 * @param position where its reader is after it; without one, the reader's position does not change
 */
export function resetOf(feed: string, oldest: StoredMessage | undefined, position?: Position): TextMessage {
  const text = JSON.stringify({ feed, oldest: oldest?.id ?? null });
  return { id: position && formatPosition(position), feed, type: resetType, text, isJson: true };
}

/** The same message for a reader whose position is behind it already. */
function withoutPosition({ feed, type, text, isJson }: TextMessage): TextMessage {
  return { id: undefined, feed, type, text, isJson };
}
