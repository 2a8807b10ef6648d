import { isEnd } from '../message/end.js';
import type { StoredMessage } from '../message/message.js';
import { isPosition, type Start } from '../message/position.js';
import { AgeList, type Entry, type FeedLog } from './age-list.js';
import { allBounds, boundsOf, type FeedBounds, type History, type HistoryBounds, messageOverhead, textBytes } from './broker.js';
import { TrimmedOffsets } from './trimmed-offsets.js';

/** The shortest time between two removals of expired messages, in milliseconds. */
const expiryStepMs = 1000;

/** The recent messages of all feeds in this process's memory, within bounds. */
export class MessageLog {
  /** The offset of the last message. */
  offset = 0;
  private readonly logs = new Map<string, FeedLog>();
  private readonly trimmed = new TrimmedOffsets();
  /** The offset up to which the messages of all feeds have been trimmed. */
  private allTrimmed = 0;
  /** As many as there are times to live, and one more for each of them with messages that stay beyond it. */
  private readonly lists: readonly AgeList[];
  private totalBytes = 0;

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
    const last = log?.last?.message;
    const isEnded = isEnd(last);
    if (start === 'end' || start === 'newest') {
      const isSent = last !== undefined && (start === 'newest' || isEnded);
      const after = { epoch, offset: isSent ? last.offset - 1 : end };
      return { messages: isSent ? [last] : [], after, end, hasMore: false, isReset: false, isEnded };
    }
    const trimmed = Math.max(log?.trimmed ?? this.trimmed.offsetOf(feed), this.allTrimmed);
    const position = isPosition(start) ? start : undefined;
    const isKnown = position !== undefined && position.epoch === epoch && position.offset >= trimmed && position.offset <= end;
    const least = typeof start === 'object' && 'last' in start ? offsetBefore(log, start.last) : 0;
    const after = isKnown ? position.offset : Math.max(trimmed, least);
    const { messages, hasMore } = this.pageOf(log, after, limitBytes);
    return {
      messages,
      after: { epoch, offset: messages.length > 0 || isKnown ? after : end },
      end: hasMore ? (messages.at(-1) as StoredMessage).offset : end,
      hasMore,
      isReset: start === 'earliest' ? trimmed > 0 : position !== undefined && !isKnown,
      isEnded,
    };
  }

  /** The messages of a feed after an offset, as many as the limit allows, and at least one. */
  private pageOf(log: FeedLog | undefined, after: number, limitBytes: number): { messages: StoredMessage[]; hasMore: boolean } {
    const messages: StoredMessage[] = [];
    let bytes = 0;
    for (let entry = this.firstAfter(log, after); entry; entry = entry.next) {
      bytes += entry.bytes - messageOverhead;
      if (bytes > limitBytes && messages.length > 0) return { messages, hasMore: true };
      messages.push(entry.message);
    }
    return { messages, hasMore: false };
  }

  private firstAfter(log: FeedLog | undefined, after: number): Entry | undefined {
    let entry = log?.first;
    while (entry && entry.message.offset <= after) entry = entry.next;
    return entry;
  }

  /** The newest message of a feed, if it is stored. */
  newestOf(feed: string): StoredMessage | undefined {
    return this.logs.get(feed)?.last?.message;
  }

  /** The offset of the last message that a feed ever had, or a later one up to which it has none. */
  lastOffsetOf(feed: string): number {
    return this.newestOf(feed)?.offset ?? Math.max(this.trimmed.offsetOf(feed), this.allTrimmed);
  }

  /** Whether the newest message of a feed is its end. */
  isEnded(feed: string): boolean {
    if (!isEnd(this.newestOf(feed))) return false;
    this.dropExpired();
    return isEnd(this.newestOf(feed));
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
    if (log?.first) log.trimmed = Math.max(log.trimmed, offset);
    else this.trimmed.note(feed, offset);
  }

  /** Removes the messages of all feeds up to an offset. */
  forgetAll(offset: number): void {
    for (const list of this.lists) while (list.oldest && list.oldest.message.offset <= offset) this.drop(list.oldest);
    this.allTrimmed = Math.max(this.allTrimmed, offset);
  }

  clearAll(): void {
    for (const list of this.lists) list.clear();
    this.logs.clear();
    this.totalBytes = 0;
  }

  private begin(feed: string): FeedLog {
    const bounds = boundsOf(this.bounds, feed);
    const trimmed = this.trimmed.offsetOf(feed);
    const log: FeedLog = { feed, bounds, list: this.listOf(bounds), first: undefined, last: undefined, length: 0, bytes: 0, trimmed };
    this.logs.set(feed, log);
    return log;
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
    if (log.first) return;
    log.last = undefined;
    this.logs.delete(log.feed);
    this.trimmed.note(log.feed, log.trimmed);
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

/** The offset of the message before the last ones of a feed, as many as are asked for; 0 where it has no more than these. */
function offsetBefore(log: FeedLog | undefined, count: number): number {
  let offset = 0;
  let entry = log?.first;
  for (let left = (log?.length ?? 0) - count; entry && left > 0; left -= 1) {
    offset = entry.message.offset;
    entry = entry.next;
  }
  return offset;
}

/** Its id holds the feed's name as well. */
function bytesOf({ feed, type, text }: StoredMessage): number {
  return textBytes(text) + (type === undefined ? 0 : textBytes(type)) + 2 * feed.length + messageOverhead;
}
