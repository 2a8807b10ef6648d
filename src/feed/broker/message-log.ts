import { isEnd } from '../message/end.js';
import type { StoredMessage } from '../message/message.js';
import { isPosition, type Start } from '../message/position.js';
import { type History, type HistoryBounds, messageOverhead, textBytes } from './broker.js';
import { TrimmedOffsets } from './trimmed-offsets.js';

/** The shortest time between two removals of expired messages, in milliseconds. */
const expiryStepMs = 1000;

/** A message in its feed's log, and in the list of all messages by age. */
interface Entry {
  readonly message: StoredMessage;
  readonly bytes: number;
  readonly log: FeedLog;
  /** The next message of the same feed. */
  next: Entry | undefined;
  /** Neighbours among the messages of all feeds. */
  older: Entry | undefined;
  newer: Entry | undefined;
}

/** The messages of one feed. A feed without messages has none. */
interface FeedLog {
  readonly feed: string;
  first: Entry | undefined;
  last: Entry | undefined;
  length: number;
  bytes: number;
  /** The offset up to which messages have been trimmed, and the time up to which those were stored. */
  trimmed: number;
  trimmedTime: number;
}

/** The recent messages of all feeds in this process's memory, within bounds. */
export class MessageLog {
  /** The offset of the last message. */
  offset = 0;
  private readonly logs = new Map<string, FeedLog>();
  private readonly trimmed = new TrimmedOffsets();
  /** The offset up to which the messages of all feeds have been trimmed. */
  private allTrimmed = 0;
  private allTrimmedTime = 0;
  private oldest: Entry | undefined = undefined;
  private newest: Entry | undefined = undefined;
  private totalBytes = 0;
  private expiry: NodeJS.Timeout | undefined = undefined;

  constructor(
    /** What offsets count in. */
    readonly epoch: string,
    private readonly bounds: HistoryBounds,
  ) {}

  /** Appends a message, whose offset is higher than that of any before. */
  append(message: StoredMessage): void {
    const { feed } = message;
    this.offset = message.offset;
    let log = this.logs.get(feed);
    if (!log) {
      const [trimmed, trimmedTime] = [this.trimmed.offsetOf(feed), this.trimmed.timeOf(feed)];
      log = { feed, first: undefined, last: undefined, length: 0, bytes: 0, trimmed, trimmedTime };
      this.logs.set(feed, log);
    }
    const bytes = bytesOf(message);
    const entry: Entry = { message, bytes, log, next: undefined, older: this.newest, newer: undefined };
    if (this.newest) this.newest.newer = entry;
    else this.oldest = entry;
    this.newest = entry;
    if (log.last) log.last.next = entry;
    else log.first = entry;
    log.last = entry;
    log.length += 1;
    log.bytes += bytes;
    this.totalBytes += bytes;

    const { historyLength, historyBytes, historyTotalBytes } = this.bounds;
    const least = isEnd(message) ? 1 : 0;
    while (log.first && log.length > least && (log.length > historyLength || log.bytes > historyBytes)) this.drop(log.first);
    while (this.oldest && this.totalBytes > historyTotalBytes) this.drop(this.oldest);
    this.scheduleExpiry();
  }

  read(feed: string, start: Start, limitBytes: number): History {
    this.dropExpired();
    const log = this.logs.get(feed);
    const { epoch, offset: end } = this;
    const trimmed = Math.max(log?.trimmed ?? this.trimmed.offsetOf(feed), this.allTrimmed);
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
    return trimmed > 0 && Math.max(log?.trimmedTime ?? this.trimmed.timeOf(feed), this.allTrimmedTime) >= start.time;
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
    const now = Date.now(); // none of them is younger
    if (log?.first) {
      log.trimmed = Math.max(log.trimmed, offset);
      log.trimmedTime = now;
    } else this.trimmed.note(feed, offset, now);
  }

  /** Removes the messages of all feeds up to an offset. */
  forgetAll(offset: number): void {
    while (this.oldest && this.oldest.message.offset <= offset) this.drop(this.oldest);
    this.allTrimmed = Math.max(this.allTrimmed, offset);
    this.allTrimmedTime = Date.now();
  }

  clearAll(): void {
    clearTimeout(this.expiry);
    this.expiry = undefined;
    this.logs.clear();
    this.oldest = undefined;
    this.newest = undefined;
    this.totalBytes = 0;
  }

  /** Removes a feed's first message. The oldest message of all is the first of its feed as well. */
  private drop(entry: Entry): void {
    const { log, older, newer, bytes } = entry;
    if (older) older.newer = newer;
    else this.oldest = newer;
    if (newer) newer.older = older;
    else this.newest = older;
    this.totalBytes -= bytes;

    log.first = entry.next;
    // A removed entry must not refer to the others: V8 would move each new entry to its old generation because a dead one there refers to it.
    entry.older = undefined;
    entry.newer = undefined;
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

  /** One timer for all messages: they expire in the order in which they were appended. */
  private scheduleExpiry(): void {
    if (this.expiry !== undefined || !this.oldest) return;
    const left = this.oldest.message.time + this.bounds.historyTtlMs - Date.now();
    this.expiry = setTimeout(() => this.expire(), Math.max(left, expiryStepMs)).unref();
  }

  private expire(): void {
    this.expiry = undefined;
    this.dropExpired();
    this.scheduleExpiry();
  }

  private dropExpired(): void {
    const before = Date.now() - this.bounds.historyTtlMs;
    while (this.oldest && this.oldest.message.time <= before) this.drop(this.oldest);
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

/** Its id holds the feed's name as well. */
function bytesOf({ feed, type, text }: StoredMessage): number {
  return textBytes(text) + (type === undefined ? 0 : textBytes(type)) + 2 * feed.length + messageOverhead;
}
