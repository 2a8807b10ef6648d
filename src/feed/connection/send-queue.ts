import type { StoredMessage, TextMessage } from '../message/message.js';
import type { Position, Start } from '../message/position.js';
import type { Replay, ReplayItem } from '../pubsub/replay.js';

/** An item of a source, encoded when it came. */
export class EncodedItem {
  constructor(
    readonly body: string,
    readonly bytes: number,
    readonly encoding: 'latin1' | 'utf8',
  ) {}
}

export type Entry = StoredMessage | TextMessage | EncodedItem;

/** A replay that is on its way. */
export interface ExpectedReplay {
  readonly feed: string;
  /** Whether the feed has been unfollowed meanwhile. */
  isCancelled: boolean;
}

/** What an entry counts as beside its text, in bytes: its place in the queue. */
const overhead = 64;

/**
 * What a connection holds until its client can take it: replay, of which a page at a time is in memory, then what came since, in order.
 *
 * Messages of feeds need not wait here, since history has them: those that find no room are dropped, and read from history later.
 */
export class SendQueue {
  /** Bytes of what came since. */
  bytes = 0;
  /** In order. A message that newer ones may replace has its feed as the key, everything else a number. */
  private readonly entries = new Map<string | number, Entry>();
  private count = 0;
  private readonly replays: Replay[] = [];
  private readonly expected = new Set<ExpectedReplay>();
  /** Before the first message that was dropped. */
  private missedFrom: Position | undefined = undefined;
  /** By feed, the offset up to which replays have had its messages. */
  private covered: Map<string, number> | undefined = undefined;

  /** Whether history is still to be sent. */
  get hasReplay(): boolean {
    return this.expected.size > 0 || this.replays.length > 0 || this.missedFrom !== undefined;
  }

  /** Whether anything came since. */
  get hasEntries(): boolean {
    return this.entries.size > 0;
  }

  /** Whether everything has been taken. */
  get isEmpty(): boolean {
    return this.entries.size === 0 && !this.hasReplay;
  }

  /** Bytes that are in memory. */
  get waitingBytes(): number {
    return this.replays.reduce((sum, { waitingBytes }) => sum + waitingBytes, this.bytes);
  }

  /** Lets nothing out until the replay of a feed has come, or is given up. */
  expect(feed: string): ExpectedReplay {
    const expected = { feed, isCancelled: false };
    this.expected.add(expected);
    return expected;
  }

  /** @param replay undefined where it could not be read */
  resolve(expected: ExpectedReplay, replay: Replay | undefined): void {
    this.expected.delete(expected);
    if (replay && !expected.isCancelled) this.replay(replay);
  }

  /** Drops the newest message of a conflated feed, and a replay that is on its way. Messages that wait in order are still sent. */
  unfollow(feed: string): void {
    this.delete(feed);
    for (const expected of this.expected) if (expected.feed === feed) expected.isCancelled = true;
  }

  /** Puts a replay before what came since. */
  replay(replay: Replay): void {
    this.replays.push(replay);
  }

  push(entry: Entry): void {
    this.count += 1;
    this.set(this.count, entry);
  }

  /** Puts a message in the place of an older one of the same feed. */
  pushNewest(message: StoredMessage): void {
    this.delete(message.feed);
    this.set(message.feed, message);
  }

  /** What is to be sent next; undefined where it has to be read first, and when all has been taken. */
  shift(): Entry | ReplayItem | undefined {
    while (this.replays[0] !== undefined && this.expected.size === 0) {
      const [replay] = this.replays;
      const item = replay.take();
      if (item !== undefined || !replay.isDone) return item;
      this.replays.shift();
      this.endReplay(replay);
    }
    if (this.hasReplay) return undefined;
    for (const [key, entry] of this.entries) {
      this.delete(key);
      return entry;
    }
    return undefined;
  }

  /**
   * Reads on, where the next item has to be read.
   *
   * @param replayFrom reads messages that were dropped
   * @throws what the broker fails with
   */
  async read(replayFrom: (startOf: (feed: string) => Start) => Promise<Replay>): Promise<void> {
    const [replay] = this.replays;
    if (replay) return replay.read();
    const { missedFrom } = this;
    if (missedFrom === undefined) return;
    const { epoch, offset } = missedFrom;
    this.replay(await replayFrom((feed) => ({ epoch, offset: Math.max(offset, this.covered?.get(feed) ?? 0) })));
    if (this.missedFrom === missedFrom) this.missedFrom = undefined;
  }

  /** Whether the next item has to be read. */
  get needsRead(): boolean {
    return this.expected.size === 0 && (this.replays[0]?.needsRead ?? this.missedFrom !== undefined);
  }

  /** Leaves the messages of feeds to history: they are read from there when their turn comes. */
  deferMessages(): void {
    for (const [key, entry] of this.entries) {
      if (entry instanceof EncodedItem || !('offset' in entry)) continue;
      this.missedFrom ??= { epoch: entry.epoch, offset: entry.offset - 1 };
      this.delete(key);
    }
  }

  private delete(key: string | number): void {
    const entry = this.entries.get(key);
    if (entry === undefined) return;
    this.bytes -= sizeOf(entry);
    this.entries.delete(key);
  }

  private set(key: string | number, entry: Entry): void {
    this.bytes += sizeOf(entry);
    this.entries.set(key, entry);
  }

  /** Drops what came since and was a part of the replay as well. */
  private endReplay({ feeds, end }: Replay): void {
    if (this.entries.size === 0 && this.missedFrom === undefined) return;
    this.covered ??= new Map();
    for (const feed of feeds) this.covered.set(feed, end);
    for (const [key, entry] of this.entries) {
      if (!(entry instanceof EncodedItem) && 'offset' in entry && entry.offset <= (this.covered.get(entry.feed) ?? -1)) this.delete(key);
    }
  }
}

function sizeOf(entry: Entry): number {
  return overhead + (entry instanceof EncodedItem ? entry.bytes : Buffer.byteLength(entry.text));
}
