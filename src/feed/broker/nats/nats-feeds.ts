import { type Content, type StoredMessage, storedMessage } from '../../message/message.js';
import { type Start } from '../../message/position.js';
import { type History, type HistoryBounds, type MessageSink } from '../broker.js';
import { MessageLog } from '../message-log.js';

/** How many messages back the time of one is known. */
const knownTimes = 4096;
/** Of a suspect that has not been told: before any offset. */
const untold = -1;

/** What this process has of the stream, and who follows it: outlives connections. */
export class NatsFeeds {
  /** When, by `performance.now()`, the stream had no message that has not come; all later ones are younger. */
  knownAt = Number.NEGATIVE_INFINITY;
  private readonly sinks = new Map<string, MessageSink>();
  private log: MessageLog | undefined = undefined;
  /** Feeds that may have lost messages in the gaps up to `suspectsEnd`, and the offset of the last message up to which that is told. */
  private readonly suspects = new Map<string, number>();
  private suspectsEnd = 0;
  /** The offset of the last message that came after a gap. */
  private gapEnd = 0;
  /** Up to there the messages are older than this process: they are history, and delivered to nobody. */
  private oldEnd = 0;
  private readonly times = { of: new Float64Array(knownTimes), offset: new Float64Array(knownTimes) };

  constructor(private readonly bounds: HistoryBounds) {}

  get epoch(): string | undefined {
    return this.log?.epoch;
  }

  /** The offset of the last message that came. */
  get offset(): number {
    return this.log?.offset ?? 0;
  }

  follow(feed: string, sink: MessageSink): void {
    this.sinks.set(feed, sink);
  }

  unfollow(feed: string): void {
    this.sinks.delete(feed);
  }

  /** Only once there has been an epoch. */
  read(feed: string, start: Start, limitBytes: number): History {
    return (this.log as MessageLog).read(feed, start, limitBytes);
  }

  /** Begins with a stream, from its first message on. What was known of another one is gone. */
  begin(epoch: string, last: number): void {
    const isFirst = this.log === undefined;
    this.log?.clear();
    this.log = new MessageLog(epoch, this.bounds);
    this.times.offset.fill(0);
    this.oldEnd = isFirst ? last : -1;
    this.suspects.clear();
    this.suspectsEnd = 0;
    this.gapEnd = 0;
    this.knownAt = Number.NEGATIVE_INFINITY;
    if (!isFirst) this.suspect(this.sinks.keys(), last);
  }

  deliver(feed: string, offset: number, time: number, { type, text, isJson }: Content): void {
    const log = this.log as MessageLog;
    const message = storedMessage(feed, log.epoch, offset, time, { type, text, isJson });
    this.go(offset);
    log.append(message);
    this.times.offset[offset % knownTimes] = offset;
    this.times.of[offset % knownTimes] = time;
    const sink = offset > this.oldEnd ? this.sinks.get(feed) : undefined;
    const told = this.suspects.get(feed);
    if (told !== undefined) {
      this.suspects.set(feed, offset);
      if (told < this.gapEnd) {
        log.forget(feed, offset - 1);
        sink?.lost(message);
      }
    }
    sink?.next(message);
    this.clearSuspects();
  }

  /** Goes on to an offset without a message. */
  skip(offset: number): void {
    this.go(offset);
    this.clearSuspects();
  }

  /** The feeds may have lost messages after the last that came; what they still have up to `end` will come. */
  suspect(feeds: Iterable<string>, end: number): void {
    for (const feed of feeds) this.suspects.set(feed, untold);
    this.suspectsEnd = Math.max(this.suspectsEnd, end);
    this.clearSuspects();
  }

  /** Any feed may have lost messages up to an offset. */
  suspectAll(gone: number, end: number): void {
    this.log?.forgetAll(gone);
    this.suspect(this.sinks.keys(), end);
  }

  /** Suspects no more those that have been told; whoever looks anew finds out about them. */
  acquit(): void {
    for (const [feed, told] of this.suspects) if (told !== untold) this.suspects.delete(feed);
  }

  /** The last message that is kept of a feed. */
  newestOf(feed: string): StoredMessage | undefined {
    return this.log?.newestOf(feed);
  }

  /** When the engine got a message; undefined where that is long ago, or it never came. */
  timeOf(offset: number): number | undefined {
    return offset > 0 && this.times.offset[offset % knownTimes] === offset ? this.times.of[offset % knownTimes] : undefined;
  }

  clear(): void {
    this.sinks.clear();
    this.suspects.clear();
    this.log?.clear();
  }

  private go(offset: number): void {
    const log = this.log as MessageLog;
    if (offset > log.offset + 1) this.gapEnd = offset;
    log.offset = offset;
  }

  private clearSuspects(): void {
    const { offset } = this;
    if (this.suspects.size === 0 || offset < this.suspectsEnd) return;
    for (const [feed, told] of this.suspects) {
      if (told !== untold) continue;
      this.log?.forget(feed, offset);
      if (offset > this.oldEnd) this.sinks.get(feed)?.lost(undefined);
    }
    this.suspects.clear();
  }
}
