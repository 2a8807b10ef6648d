import { type FeedEnd, isEnd } from '../message/end.js';
import type { StoredMessage } from '../message/message.js';
import { isPosition, type Start } from '../message/position.js';
import { AgeList, type Entry, type FeedLog } from './age-list.js';
import type { History, StoredFeed, StoredIds } from './broker.js';
import { FirstIds, type IdRange } from './first-ids.js';
import { allBounds, boundsOf, type FeedBounds, type HistoryBounds, messageOverhead, textBytes } from './history-bounds.js';
import { TrimmedOffsets } from './trimmed-offsets.js';

/** The shortest time between two removals of expired messages, in milliseconds. */
const expiryStepMs = 1000;

const nothingMissed = { missed: 0, missedTime: 0 };

/** The recent messages of all feeds in this process's memory, within bounds. */
export class MessageLog {
  /** The offset of the last message. */
  offset = 0;
  private readonly logs = new Map<string, FeedLog>();
  private readonly trimmed = new TrimmedOffsets();
  /** The offset up to which the messages of all feeds have been trimmed. */
  private allTrimmed = 0;
  private allTrimmedTime = 0;
  /** As many as there are times to live, and one more for each of them with messages that stay beyond it. */
  private readonly lists: readonly AgeList[];
  /** Bytes of all messages. */
  totalBytes = 0;

  /**
   * @param epoch what offsets count in
   * @param now the time in milliseconds since 1970
   */
  constructor(
    readonly epoch: string,
    private readonly bounds: HistoryBounds,
    private readonly now: () => number = Date.now,
  ) {
    const ttls = new Set(allBounds(bounds).map(({ historyTtlMs }) => historyTtlMs));
    const keepsNewest = allBounds(bounds).some(({ keepNewest }) => keepNewest);
    this.lists = [...ttls].flatMap((ttlMs) => {
      const kept = keepsNewest ? new AgeList(Number.POSITIVE_INFINITY) : undefined;
      return [new AgeList(ttlMs, kept), ...(kept ? [kept] : [])];
    });
  }

  /** Appends a message, whose offset is higher than that of any before. */
  append(message: StoredMessage): void {
    const { feed } = message;
    this.offset = message.offset;
    const log = this.logs.get(feed) ?? this.begin(feed);
    const { list, bounds } = log;
    const bytes = bytesOf(message);
    const entry: Entry = { message, bytes, log, next: undefined, list, older: undefined, newer: undefined };
    list.append(entry);
    if (log.last) log.last.next = entry;
    else log.first = entry;
    log.last = entry;
    log.length += 1;
    log.bytes += bytes;
    this.totalBytes += bytes;

    const { first } = log;
    if (first && first.list !== list) this.drop(first); // it was older than its time to live, and stayed because it was the newest
    const { historyLength, historyBytes } = bounds;
    const least = isEnd(message) ? 1 : 0;
    while (log.first && log.length > least && (log.length > historyLength || log.bytes > historyBytes)) this.drop(log.first);
    if (this.totalBytes > this.bounds.historyTotalBytes) this.makeRoom();
    if (list.expiry === undefined) this.scheduleExpiry(list);
  }

  read(feed: string, start: Start, limitBytes: number): History {
    this.dropExpired();
    const log = this.logs.get(feed);
    const { epoch, offset: end } = this;
    const { missed } = this.expiryOf(feed);
    while (log?.first && log.first.message.offset <= missed) this.drop(log.first);
    const trimmed = Math.max(log?.trimmed ?? this.trimmed.offsetOf(feed), this.allTrimmed, missed);
    const isKnown = isPosition(start) && start.epoch === epoch && start.offset >= trimmed && start.offset <= end;
    const { messages, hasMore } = pageFrom(firstOf(log, start, isKnown), limitBytes);
    const [first] = messages;
    return {
      messages,
      after: { epoch, offset: isKnown ? start.offset : first ? first.offset - 1 : end },
      end: hasMore ? (messages.at(-1) as StoredMessage).offset : end,
      hasMore,
      isReset: isPosition(start) ? !isKnown : this.isCut(log, feed, start, trimmed),
      isEnded: isEnd(log?.last?.message),
    };
  }

  /** Whether messages are gone with which a reader would begin. */
  private isCut(log: FeedLog | undefined, feed: string, start: Start, trimmed: number): boolean {
    if (start === 'earliest') return trimmed > 0;
    if (typeof start === 'string' || !('time' in start)) return false;
    const { missedTime } = this.expiryOf(feed);
    return trimmed > 0 && Math.max(log?.trimmedTime ?? this.trimmed.timeOf(feed), this.allTrimmedTime, missedTime) >= start.time;
  }

  /** The newest message of a feed, if it is stored. */
  newestOf(feed: string): StoredMessage | undefined {
    return this.logs.get(feed)?.last?.message;
  }

  /** The offset of the last message that a feed ever had, or a later one up to which it has none. */
  lastOffsetOf(feed: string): number {
    return this.newestOf(feed)?.offset ?? Math.max(this.trimmed.offsetOf(feed), this.allTrimmed, this.expiryOf(feed).missed);
  }

  /** Whether the newest message of a feed is its end. */
  isEnded(feed: string): boolean {
    if (!isEnd(this.newestOf(feed))) return false;
    this.dropExpired();
    return isEnd(this.newestOf(feed));
  }

  /** Finds the first feeds of a range that have messages. */
  storedIds(range: IdRange): StoredIds {
    this.dropExpired();
    const ids = new FirstIds(range);
    for (const feed of this.logs.keys()) ids.add(feed);
    return { ids: ids.first, isWhole: true };
  }

  measure(feeds: readonly string[]): (StoredFeed | undefined)[] {
    this.dropExpired();
    return feeds.map((feed) => {
      const { last, length, bytes } = this.logs.get(feed) ?? {};
      if (!last || length === undefined || bytes === undefined) return undefined;
      const { text, time } = last.message;
      return { length, bytes, newestAt: time, end: isEnd(last.message) ? (JSON.parse(text) as FeedEnd) : undefined };
    });
  }

  /** Removes a feed's messages. That takes an offset: a position at the last of them is one before what is gone. */
  clear(feed: string): void {
    this.offset += 1;
    this.forget(feed, this.offset);
  }

  /** Removes a feed's messages up to an offset, up to which others never arrived. */
  forget(feed: string, offset: number): void {
    const log = this.logs.get(feed);
    while (log?.first && log.first.message.offset <= offset) this.drop(log.first);
    const now = this.now(); // none of them is younger
    if (log?.first) {
      log.trimmed = Math.max(log.trimmed, offset);
      log.trimmedTime = now;
    } else this.trimmed.note(feed, offset, now);
  }

  /** Removes the messages of all feeds up to an offset. */
  forgetAll(offset: number): void {
    for (const list of this.lists) while (list.oldest && list.oldest.message.offset <= offset) this.drop(list.oldest);
    this.allTrimmed = Math.max(this.allTrimmed, offset);
    this.allTrimmedTime = this.now();
  }

  /**
   * Messages up to an offset may have expired before this process had them, of all feeds with a time to live. What it has of these feeds up to
   * there is older.
   */
  missExpired(ttlMs: number, offset: number): void {
    const list = this.lists.find((each) => each.ttlMs === ttlMs) as AgeList;
    list.missed = Math.max(list.missed, offset);
    list.missedTime = this.now();
  }

  clearAll(): void {
    for (const list of this.lists) list.clear();
    this.logs.clear();
    this.totalBytes = 0;
  }

  private begin(feed: string): FeedLog {
    const bounds = boundsOf(this.bounds, feed);
    const [trimmed, trimmedTime] = [this.trimmed.offsetOf(feed), this.trimmed.timeOf(feed)];
    const begun = { first: undefined, last: undefined, length: 0, bytes: 0, trimmed, trimmedTime };
    const log: FeedLog = { feed, bounds, list: this.listOf(bounds), ...begun };
    this.logs.set(feed, log);
    return log;
  }

  /** What of a feed has expired unseen; nothing where its newest message stays. */
  private expiryOf(feed: string): Pick<AgeList, 'missed' | 'missedTime'> {
    const bounds = boundsOf(this.bounds, feed);
    return bounds.keepNewest ? nothingMissed : this.listOf(bounds);
  }

  private listOf({ historyTtlMs }: FeedBounds): AgeList {
    return this.lists.find(({ ttlMs }) => ttlMs === historyTtlMs) as AgeList;
  }

  /** Removes a feed's first message. The oldest message of a list is the first of its feed as well. */
  private drop(entry: Entry): void {
    const { log, bytes } = entry;
    entry.list.remove(entry);
    this.totalBytes -= bytes;

    log.first = entry.next;
    entry.next = undefined;
    log.length -= 1;
    log.bytes -= bytes;
    log.trimmed = entry.message.offset;
    log.trimmedTime = Math.max(log.trimmedTime, entry.message.time);
    if (log.first) return;
    log.last = undefined;
    this.logs.delete(log.feed);
    this.trimmed.note(log.feed, log.trimmed, log.trimmedTime);
  }

  /** Drops expired messages, and then the oldest of all feeds, until the rest is within the bound of all. */
  private makeRoom(): void {
    this.dropExpired();
    while (this.totalBytes > this.bounds.historyTotalBytes) {
      let oldest: Entry | undefined;
      for (const list of this.lists) {
        if (list.oldest && (!oldest || list.oldest.message.offset < oldest.message.offset)) oldest = list.oldest;
      }
      if (!oldest) return;
      this.drop(oldest);
    }
  }

  /** One timer for all messages of a list. */
  private scheduleExpiry(list: AgeList): void {
    if (!list.oldest) return;
    const left = list.oldest.message.time + list.ttlMs - this.now();
    list.expiry = setTimeout(
      () => {
        list.expiry = undefined;
        this.dropExpiredOf(list);
        this.scheduleExpiry(list);
      },
      Math.max(left, expiryStepMs),
    ).unref();
  }

  private dropExpired(): void {
    for (const list of this.lists) this.dropExpiredOf(list);
  }

  private dropExpiredOf(list: AgeList): void {
    const before = this.now() - list.ttlMs;
    for (let entry = list.oldest; entry && entry.message.time <= before; entry = list.oldest) {
      const { log, message } = entry;
      if (log.bounds.keepNewest && log.last === entry && !isEnd(message)) {
        list.remove(entry);
        (list.kept as AgeList).append(entry);
      } else this.drop(entry);
    }
  }
}

/** The entry with which a reader begins. */
function firstOf(log: FeedLog | undefined, start: Start, isKnown: boolean): Entry | undefined {
  if (!log) return undefined;
  if (start === 'newest') return log.last;
  if (start === 'end') return isEnd(log.last?.message) ? log.last : undefined;
  let entry = log.first;
  if (start === 'earliest') return entry;
  if ('last' in start) for (let more = log.length - start.last; more > 0; more -= 1) entry = entry?.next;
  else if ('time' in start) while (entry && entry.message.time < start.time) entry = entry.next;
  else if (isKnown) while (entry && entry.message.offset <= start.offset) entry = entry.next;
  return entry;
}

/** The messages of a feed from an entry on, as many as the limit allows, and at least one. */
function pageFrom(first: Entry | undefined, limitBytes: number): { messages: StoredMessage[]; hasMore: boolean } {
  const messages: StoredMessage[] = [];
  let bytes = 0;
  for (let entry = first; entry; entry = entry.next) {
    bytes += entry.bytes - messageOverhead;
    if (bytes > limitBytes && messages.length > 0) return { messages, hasMore: true };
    messages.push(entry.message);
  }
  return { messages, hasMore: false };
}

/** Its id holds the feed's name as well. A trace is ASCII. */
function bytesOf({ feed, type, text, trace }: StoredMessage): number {
  return textBytes(text) + (type === undefined ? 0 : textBytes(type)) + 2 * feed.length + (trace?.length ?? 0) + messageOverhead;
}
