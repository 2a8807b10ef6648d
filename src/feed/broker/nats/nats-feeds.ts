import { isEnd } from '../../message/end.js';
import { type Content, type StoredMessage, storedMessage } from '../../message/message.js';
import type { MessageSink } from '../broker.js';
import { boundsOf, type HistoryBounds, longestTtlMs } from '../history-bounds.js';
import { MessageLog } from '../message-log.js';

/** Of how many of the last messages the time is known. */
export const knownTimes = 4096;
/** How many of the messages that came behind the end of their feeds are known: as many as are on their way at a time, by far. */
const knownIgnored = 4096;
/** A suspect of which no message has arrived since: an offset before any other. */
const unresolved = -1;

/** When something happened to a feed. */
interface Occasion {
  readonly offset: number;
  readonly time: number;
}

/** What this process has received of the stream, and the sinks of its feeds. It outlives sessions. */
export class NatsFeeds {
  /** When, by `performance.now()`, this process had received all messages of the stream: all later ones are younger. */
  completeAt = Number.NEGATIVE_INFINITY;
  private readonly sinks = new Map<string, MessageSink>();
  private log: MessageLog | undefined = undefined;
  /**
   * Feeds that may have lost messages in the gaps up to `suspectsEnd`: with the offset of the last message for which that was decided, and
   * the end of the last gap that may have been theirs.
   */
  private readonly suspects = new Map<string, { readonly decided: number; readonly gapEnd: number }>();
  private suspectsEnd = 0;
  /** The offset behind the last gap. */
  private gapEnd = 0;
  /** The offset up to which messages are history, and not delivered: older than this process, or delivered under another epoch. */
  private historyEnd = 0;
  /** The offset up to which losses are older than this process. */
  private silentEnd = 0;
  /** The ends of feeds that have ended within the longest time to live, in order. */
  private readonly ends = new Map<string, Occasion>();
  /** When feeds were cleared within the time for which keys are known, in order. */
  private readonly clears = new Map<string, Occasion>();
  /** The offsets of the last messages that were ignored, since they came behind the end of their feeds. */
  private readonly ignored = new Set<number>();
  private readonly times = { of: new Float64Array(knownTimes), offset: new Float64Array(knownTimes) };

  private readonly longestTtlMs: number;

  constructor(private readonly bounds: HistoryBounds) {
    this.longestTtlMs = longestTtlMs(bounds);
  }

  get epoch(): string | undefined {
    return this.log?.epoch;
  }

  /** All messages that the stream had at a time, by `performance.now()`, have been received. */
  hadAllAt(time: number): void {
    this.completeAt = Math.max(this.completeAt, time);
  }

  get historyBytes(): number {
    return this.log?.totalBytes ?? 0;
  }

  /** The offset of the last message that arrived. */
  get offset(): number {
    return this.log?.offset ?? 0;
  }

  subscribe(feed: string, sink: MessageSink): void {
    this.sinks.set(feed, sink);
  }

  unsubscribe(feed: string): void {
    this.sinks.delete(feed);
  }

  /** What is stored of the stream. Only after `begin()`. */
  get stored(): MessageLog {
    return this.log as MessageLog;
  }

  /**
   * Begins with a stream, from its first message on. Messages of another stream are lost.
   *
   * @param common the offset up to which the stream has what has been delivered already
   */
  begin(epoch: string, last: number, common: number): void {
    const isFirst = this.log === undefined;
    this.log?.clearAll();
    this.log = new MessageLog(epoch, this.bounds);
    this.times.offset.fill(0);
    this.historyEnd = isFirst ? last : common;
    this.silentEnd = isFirst ? last : -1;
    this.ends.clear();
    this.clears.clear();
    this.ignored.clear();
    this.suspects.clear();
    this.suspectsEnd = 0;
    this.gapEnd = 0;
    this.completeAt = Number.NEGATIVE_INFINITY;
    if (!isFirst) this.suspect(this.sinks.keys(), last);
  }

  /**
   * Whether a message that is stored at an offset comes behind the end of its feed. NATS stores such a message all the same, where its
   * publisher has not heard of the end yet: all processes ignore it, since all receive the stream in the same order.
   */
  hasEnded(feed: string, offset: number, time: number): boolean {
    const end = this.ends.get(feed);
    return end !== undefined && end.offset < offset && time - end.time < boundsOf(this.bounds, feed).historyTtlMs;
  }

  /** Whether a message that has arrived was ignored: the feed may have been cleared since. */
  wasIgnored(offset: number): boolean {
    return this.ignored.has(offset);
  }

  /** Whether a message that has arrived is void, so that its key is not known: it was ignored, or came before its feed was cleared. */
  hasForgotten(feed: string, offset: number): boolean {
    return this.ignored.has(offset) || offset < (this.clears.get(feed)?.offset ?? 0);
  }

  private ignore(offset: number): void {
    this.ignored.add(offset);
    if (this.ignored.size <= knownIgnored) return;
    for (const oldest of this.ignored) {
      this.ignored.delete(oldest);
      return;
    }
  }

  /** The offset of the last message that a feed had, or a later one up to which it has none. */
  lastOffsetOf(feed: string): number {
    return this.log?.lastOffsetOf(feed) ?? 0;
  }

  /** Clears a feed, which takes an offset. */
  clearFeed(feed: string, offset: number, time: number): void {
    this.ends.delete(feed);
    noteOccasion(this.clears, feed, { offset, time }, this.bounds.idempotencyMs);
    this.advance(offset);
    this.log?.forget(feed, offset);
    if (offset > this.historyEnd) this.sinks.get(feed)?.lost(undefined);
    this.resolveSuspects();
  }

  deliver(feed: string, offset: number, time: number, content: Content): void {
    if (this.hasEnded(feed, offset, time)) {
      this.ignore(offset);
      this.skip(offset, offset - 1);
      return;
    }
    if (isEnd(content)) noteOccasion(this.ends, feed, { offset, time }, this.longestTtlMs);
    const log = this.stored;
    const message = storedMessage(feed, log.epoch, offset, time, content);
    this.advance(offset);
    log.append(message);
    this.times.offset[offset % knownTimes] = offset;
    this.times.of[offset % knownTimes] = time;
    const isHistory = offset <= this.historyEnd;
    const sink = isHistory ? undefined : this.sinks.get(feed);
    // A loss is told behind what has been delivered already.
    const suspect = isHistory && this.silentEnd < 0 ? undefined : this.suspects.get(feed);
    if (suspect) {
      const { decided, gapEnd } = suspect;
      this.suspects.set(feed, { decided: offset, gapEnd });
      if (decided < Math.min(this.gapEnd, gapEnd)) {
        log.forget(feed, offset - 1);
        sink?.lost(message);
      }
    }
    sink?.next(message);
    this.resolveSuspects();
  }

  /**
   * Advances to an offset without a message.
   *
   * @param lastMissing the last offset that is missing unless it has arrived: the one before this, or this one where its message is gone
   */
  skip(offset: number, lastMissing: number): void {
    this.advance(offset, lastMissing);
    this.resolveSuspects();
  }

  /**
   * The feeds may have lost messages after the last one that arrived; those that they still have up to `end` will arrive.
   *
   * @param gapEnd the end of the last gap that may be theirs. Default: each gap may
   */
  suspect(feeds: Iterable<string>, end: number, gapEnd = Number.POSITIVE_INFINITY): void {
    for (const feed of feeds) this.suspects.set(feed, { decided: unresolved, gapEnd });
    this.suspectsEnd = Math.max(this.suspectsEnd, end);
    this.resolveSuspects();
  }

  /** Any feed may have lost messages up to an offset. */
  suspectAll(trimmed: number, end: number): void {
    this.log?.forgetAll(trimmed);
    this.suspect(this.sinks.keys(), end, trimmed + 1);
  }

  /** Feeds whose messages expire by a time to live may have lost some up to an offset. */
  suspectExpired(ttlMs: number, trimmed: number, end: number): void {
    this.log?.missExpired(ttlMs, trimmed);
    const feeds = [...this.sinks.keys()].filter((feed) => {
      const { historyTtlMs, keepNewest } = boundsOf(this.bounds, feed);
      return historyTtlMs === ttlMs && !keepNewest;
    });
    this.suspect(feeds, end, trimmed + 1);
  }

  /** Forgets the suspects that have been decided: the next inspection finds out about later gaps. */
  forgetResolved(): void {
    for (const [feed, { decided }] of this.suspects) if (decided !== unresolved) this.suspects.delete(feed);
  }

  /** The newest message that this process stores of a feed. */
  newestOf(feed: string): StoredMessage | undefined {
    return this.log?.newestOf(feed);
  }

  /** When NATS stored a message; undefined for one that is not among the last, or never arrived. */
  timeOf(offset: number): number | undefined {
    return offset > 0 && this.times.offset[offset % knownTimes] === offset ? this.times.of[offset % knownTimes] : undefined;
  }

  clear(): void {
    this.sinks.clear();
    this.suspects.clear();
    this.log?.clearAll();
  }

  private advance(offset: number, lastMissing = offset - 1): void {
    const log = this.stored;
    if (lastMissing > log.offset) this.gapEnd = lastMissing + 1;
    log.offset = offset;
  }

  /** Once everything has arrived: a suspect without a message behind the last gap has lost all that it may have lost. */
  private resolveSuspects(): void {
    const { offset } = this;
    if (this.suspects.size === 0 || offset < this.suspectsEnd) return;
    for (const [feed, { decided, gapEnd }] of this.suspects) {
      if (decided >= Math.min(this.gapEnd, gapEnd)) continue;
      this.log?.forget(feed, offset);
      if (offset > this.silentEnd) this.sinks.get(feed)?.lost(undefined);
    }
    this.suspects.clear();
  }
}

/** Notes what happened to a feed, and forgets what happened longer ago than `lifeMs`. */
function noteOccasion(occasions: Map<string, Occasion>, feed: string, occasion: Occasion, lifeMs: number): void {
  occasions.delete(feed); // an older one would keep its place
  occasions.set(feed, occasion);
  for (const [old, { time }] of occasions) {
    if (occasion.time - time < lifeMs) break;
    occasions.delete(old);
  }
}
