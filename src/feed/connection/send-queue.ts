import type { StoredMessage, TextMessage } from '../message/message.js';
import type { Position, Start } from '../message/position.js';
import type { Replay } from '../pubsub/replay.js';
import type { ReplayItem } from '../pubsub/replay-item.js';

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
interface ExpectedReplay {
  readonly feed: string;
  /** Whether the feed has been unfollowed meanwhile. */
  isCancelled: boolean;
}

/** Takes the place of messages that were dropped: here history is read, from this position on. */
class HistoryGap {
  constructor(readonly from: Position) {}
}

/** What an entry counts as beside its text, in bytes: its place in the queue. */
const overhead = 64;

/**
 * What a connection holds until its client can take it: replay, of which a page at a time is in memory, then what came since, in order.
 *
 * Messages of feeds need not wait here, since history has them: those that find no room are left to it, and read when their turn comes.
 */
export class SendQueue {
  /** Bytes of what came since. */
  bytes = 0;
  /** The part of them that history has, too. */
  messageBytes = 0;
  /** The part of them that came while the server, not the client, kept it waiting. */
  private settledBytes = 0;
  /** The part of them that the newest messages of conflated feeds take. */
  private newestBytes = 0;
  /** In order. A message that newer ones may replace has its feed as the key, everything else a number. */
  private readonly entries = new Map<string | number, Entry | HistoryGap>();
  private count = 0;
  private walk: Iterator<[string | number, Entry | HistoryGap]> | undefined = undefined;
  private head: [string | number, Entry | HistoryGap] | undefined = undefined;
  private readonly replays: Replay[] = [];
  private readonly expected = new Set<ExpectedReplay>();
  private hasGap = false;
  private isReadingGap = false;
  /** By feed, the offset up to which replays have had its messages. */
  private covered: Map<string, number> | undefined = undefined;

  /** Whether history is still to be sent. */
  get hasReplay(): boolean {
    return this.hasGap || this.isReplaying;
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

  /** Bytes that wait because the client does not take them. Of each conflated feed, a message may wait whatever its size. */
  get slowBytes(): number {
    return this.bytes - this.newestBytes - this.settledBytes;
  }

  /** Whether the next item has to be read. */
  get needsRead(): boolean {
    if (this.replays[0]) return this.expected.size === 0 && this.replays[0].needsRead;
    return !this.isReplaying && this.first()?.[1] instanceof HistoryGap;
  }

  /** Whether nothing that came since can be sent yet. */
  private get isReplaying(): boolean {
    return this.expected.size > 0 || this.replays.length > 0 || this.isReadingGap;
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
    this.settle();
  }

  /** What waits does so because of the server: it does not count against the client. */
  settle(): void {
    this.settledBytes = this.bytes - this.newestBytes;
  }

  /** Drops the newest message of a conflated feed, and the rest of its replays. Messages that wait in order are still sent. */
  unfollow(feed: string): void {
    this.delete(feed);
    for (const expected of this.expected) if (expected.feed === feed) expected.isCancelled = true;
    for (const replay of this.replays) replay.unfollow(feed);
  }

  /** Puts a replay before what came since. */
  replay(replay: Replay): void {
    this.replays.push(replay);
  }

  push(entry: Entry): void {
    if (this.hasGap && isStored(entry)) return; // it will be read with what was missed before it
    this.count += 1;
    this.set(this.count, entry);
  }

  /** Puts a message in the place of an older one of the same feed. */
  pushNewest(message: StoredMessage): void {
    if (this.hasGap) return;
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
      replay.finish();
      this.endReplay(replay);
    }
    if (this.isReplaying) return undefined;
    const [key, entry] = this.first() ?? [];
    if (key === undefined || entry === undefined || entry instanceof HistoryGap) return undefined;
    this.delete(key);
    return entry;
  }

  /**
   * Reads on, where the next item has to be read.
   *
   * @param replayFrom reads the messages that were left to history
   * @throws what the broker fails with
   */
  async read(replayFrom: (startOf: (feed: string) => Start) => Promise<Replay>): Promise<void> {
    const [replay] = this.replays;
    if (replay) return replay.read();
    const [key, gap] = this.first() ?? [];
    if (key === undefined || !(gap instanceof HistoryGap)) return;
    const { epoch, offset } = gap.from;
    // What finds no room from now on is missed again.
    this.entries.delete(key);
    this.hasGap = false;
    this.isReadingGap = true;
    try {
      this.replay(await replayFrom((feed) => ({ epoch, offset: Math.max(offset, this.covered?.get(feed) ?? 0) })));
    } catch (error) {
      this.hasGap = true; // so that the queue is not taken for empty
      throw error;
    } finally {
      this.isReadingGap = false;
    }
  }

  /** Leaves the messages of feeds to history: they are read from there when their turn comes, which is that of the first of them. */
  deferMessages(): void {
    for (const [key, entry] of this.entries) {
      if (!isStored(entry)) continue;
      if (this.hasGap) {
        this.delete(key);
        continue;
      }
      this.hasGap = true;
      this.account(key, entry, -1);
      this.entries.set(key, new HistoryGap({ epoch: entry.epoch, offset: entry.offset - 1 })); // in its place
    }
    this.walk = undefined;
    this.head = undefined;
  }

  /** The first entry. A live iterator finds it at once, where a new one would pass over all that have been deleted. */
  private first(): [string | number, Entry | HistoryGap] | undefined {
    if (this.head && this.entries.get(this.head[0]) === this.head[1]) return this.head;
    let next = this.walk?.next();
    if (!next || next.done) {
      this.walk = this.entries.entries();
      next = this.walk.next();
    }
    this.head = next.done ? undefined : next.value;
    return this.head;
  }

  private set(key: string | number, entry: Entry): void {
    // A replay need not go beyond what waits here: it would be sent out of order.
    if (isStored(entry)) for (const replay of this.replays) replay.limitTo(entry);
    this.account(key, entry, 1);
    this.entries.set(key, entry);
  }

  private delete(key: string | number): void {
    const entry = this.entries.get(key);
    if (entry === undefined || entry instanceof HistoryGap) return;
    this.account(key, entry, -1);
    this.entries.delete(key);
  }

  private account(key: string | number, entry: Entry, sign: 1 | -1): void {
    const bytes = sign * sizeOf(entry);
    this.bytes += bytes;
    if (isStored(entry)) this.messageBytes += bytes;
    if (typeof key === 'string') this.newestBytes += bytes;
    else if (sign < 0) this.settledBytes = Math.max(0, this.settledBytes + bytes);
  }

  /** Drops what came since and was a part of the replay as well. */
  private endReplay({ feeds, end, start }: Replay): void {
    if (this.entries.size === 0) return;
    this.covered ??= new Map();
    for (const feed of feeds) this.covered.set(feed, end);
    for (const [key, entry] of this.entries) {
      if (isStored(entry) && entry.epoch === start.epoch && entry.offset <= (this.covered.get(entry.feed) ?? -1)) this.delete(key);
    }
  }
}

function isStored(entry: Entry | HistoryGap): entry is StoredMessage {
  return 'offset' in entry;
}

function sizeOf(entry: Entry): number {
  return overhead + (entry instanceof EncodedItem ? entry.bytes : Buffer.byteLength(entry.text));
}
