import { type Content, PublishedMessage } from '../feed.message.js';
import type { Broker, History, MessageSink, Start } from './broker.js';
import { Forgotten } from './forgotten.js';

/** What history may hold. */
export interface HistoryBounds {
  /** Messages of each feed. */
  readonly historyLength: number;
  /** How long a message is kept, in milliseconds. */
  readonly historyTtlMs: number;
  /** Bytes of each feed. */
  readonly historyBytes: number;
  /** Bytes of all feeds together. */
  readonly historyTotalBytes: number;
}

/** What a message counts with beside its text, in bytes: itself, its entry, and the room that V8 keeps free around them. */
export const messageOverhead = 512;

/** How far apart two looks for expired messages are at least, in milliseconds. */
const expiryStepMs = 1000;

/** A message in its log, and in the list of all messages by age. */
interface Entry {
  readonly message: PublishedMessage;
  readonly bytes: number;
  readonly log: Log;
  /** The next message of the same feed. */
  next: Entry | undefined;
  /** Neighbours among the messages of all feeds. */
  older: Entry | undefined;
  newer: Entry | undefined;
}

/** What is kept of one feed; a feed of which nothing is kept has none. */
interface Log {
  readonly feed: string;
  first: Entry | undefined;
  last: Entry | undefined;
  length: number;
  bytes: number;
  /** The offset up to which messages are gone. */
  dropped: number;
}

/** Keeps what it is given in this process, for this process. Delivers a message before `publish()` resolves. */
export class MemoryBroker implements Broker {
  /** Another one for each broker: what an earlier process knew is gone. */
  private readonly epoch = `${Date.now().toString(36)}${Math.floor(Math.random() * 36 ** 4).toString(36)}`;
  private offset = 0;
  private readonly sinks = new Map<string, MessageSink>();
  private readonly logs = new Map<string, Log>();
  private readonly forgotten = new Forgotten();
  private undelivered: PublishedMessage[] = [];
  private oldest: Entry | undefined = undefined;
  private newest: Entry | undefined = undefined;
  private totalBytes = 0;
  private expiry: NodeJS.Timeout | undefined = undefined;

  constructor(private readonly bounds: HistoryBounds) {}

  async publish(feed: string, { type, text, isJson }: Content): Promise<PublishedMessage> {
    this.offset += 1;
    const message = new PublishedMessage(feed, this.epoch, this.offset, Date.now(), type, text, isJson);
    this.keep(message);
    this.deliver(message);
    return message;
  }

  follow(feed: string, sink: MessageSink): undefined {
    this.sinks.set(feed, sink);
  }

  unfollow(feed: string): void {
    this.sinks.delete(feed);
  }

  async read(feed: string, start: Start): Promise<History> {
    this.dropExpired();
    const log = this.logs.get(feed);
    const { epoch } = this;
    const end = { epoch, offset: this.offset };
    if (start === 'end') return { messages: [], after: end, isReset: false };
    if (start === 'newest') {
      return log?.last
        ? { messages: [log.last.message], after: { epoch, offset: log.last.message.offset - 1 }, isReset: false }
        : { messages: [], after: end, isReset: false };
    }
    const dropped = log?.dropped ?? this.forgotten.offsetOf(feed);
    const isKnown = start !== 'earliest' && start.epoch === epoch && start.offset >= dropped && start.offset <= this.offset;
    const after = isKnown ? start.offset : dropped;
    const messages: PublishedMessage[] = [];
    for (let entry = log?.first; entry; entry = entry.next) if (entry.message.offset > after) messages.push(entry.message);
    return {
      messages,
      after: { epoch, offset: messages.length > 0 || isKnown ? after : this.offset },
      isReset: start !== 'earliest' && !isKnown,
    };
  }

  async close(): Promise<void> {
    clearTimeout(this.expiry);
    this.sinks.clear();
    this.logs.clear();
    this.oldest = undefined;
    this.newest = undefined;
    this.totalBytes = 0;
  }

  /** One message after the other: what somebody publishes in answer to one is delivered when that has reached everybody. */
  private deliver(message: PublishedMessage): void {
    this.undelivered.push(message);
    if (this.undelivered.length > 1) return;
    try {
      for (const next of this.undelivered) this.sinks.get(next.feed)?.next(next);
    } finally {
      this.undelivered = [];
    }
  }

  private keep(message: PublishedMessage): void {
    const { feed } = message;
    let log = this.logs.get(feed);
    if (!log) {
      log = { feed, first: undefined, last: undefined, length: 0, bytes: 0, dropped: this.forgotten.offsetOf(feed) };
      this.logs.set(feed, log);
    }
    const bytes = Buffer.byteLength(message.text) + messageOverhead;
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
    while (log.first && (log.length > historyLength || log.bytes > historyBytes)) this.drop(log.first);
    while (this.oldest && this.totalBytes > historyTotalBytes) this.drop(this.oldest);
    this.scheduleExpiry();
  }

  /** Drops a feed's first message. The oldest message of all is the first of its feed, too. */
  private drop(entry: Entry): void {
    const { log, older, newer, bytes } = entry;
    if (older) older.newer = newer;
    else this.oldest = newer;
    if (newer) newer.older = older;
    else this.newest = older;
    this.totalBytes -= bytes;

    log.first = entry.next;
    // What is dead must not lead to what lives: V8 would move each new entry to its old generation for the sake of a dead one there.
    entry.older = undefined;
    entry.newer = undefined;
    entry.next = undefined;
    log.length -= 1;
    log.bytes -= bytes;
    log.dropped = entry.message.offset;
    if (log.first) return;
    log.last = undefined;
    this.logs.delete(log.feed);
    this.forgotten.note(log.feed, log.dropped);
  }

  /** One timer for all messages: they expire in the order in which they came. */
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
