import type { Broker } from '../broker/broker.js';
import { BrokerUnavailableError } from '../errors/broker.errors.js';
import type { StoredMessage, TextMessage } from '../message/message.js';
import { isPosition, type Position, type Start } from '../message/position.js';
import type { ResumeResult, RuleMeasures } from '../stats/measures.js';
import { FeedReplay } from './feed-replay.js';
import { Mark, type ReplayItem, resetOf, withoutPosition } from './replay-item.js';
import { resultOf, SentReplay } from './sent-replay.js';

/** How many bytes of a feed are read at once at least: a read for each small message would cost more than it saves. */
const leastBytes = 1024;

/** Where a replay begins. */
interface ReplayStart {
  readonly feeds: readonly string[];
  /** Where to begin on each feed. */
  readonly startOf: (feed: string) => Start;
  /** Whether the reader resumes: it then gets its position first, and is told which feeds have lost messages. */
  readonly isResumed: boolean;
  /** Whether a reader that resumes is told its position behind the replay as well. Default: false. */
  readonly tellsEnd?: boolean;
  /** How many bytes of text may be read ahead, over all feeds. */
  readonly pageBytes: number;
  /** Whether its messages leave the reader's position where it is, since that is further already on other feeds. Default: false. */
  readonly hidesPositions?: boolean;
}

/**
 * Reads what a broker stores of some feeds, in the order of their messages' offsets, a page at a time: a page is read when the one
 * before it has been taken, so that a slow reader costs a page of memory, however long the history is.
 */
export class Replay {
  /** A client that resumes from this position misses nothing of what the replay sends. */
  start!: Position;
  feeds: readonly string[];
  /** The feeds that have ended before the replay begins: their reader has all of them. */
  endedFeeds: readonly string[] = [];
  /** Whether it begins with the oldest messages stored, and older ones are gone. */
  isCut = false;
  /** The offset up to which the replay has, or will have, all messages of its feeds: a live one up to there is a repetition. */
  end = Number.POSITIVE_INFINITY;
  /** Bytes of text that were read and not taken. */
  waitingBytes = 0;
  /** How its reader resumes; undefined where it gave no position. */
  private resumed: ResumeResult | undefined = undefined;
  /** Undefined where nothing is measured. */
  private sent: SentReplay | undefined = undefined;
  /** The first live message that waits in the queue already: the replay ends before it. */
  private limit = Number.POSITIVE_INFINITY;
  private isReading = false;
  private readonly isResumed: boolean;
  /** Whether its reader is still to be told its position behind it. */
  private owesMark: boolean;
  private readonly hidesPositions: boolean;
  private readonly ready: ReplayItem[] = [];
  /** Of each feed. */
  private parts: readonly FeedReplay[];
  /** Those that have a message, by its offset. */
  private order: FeedReplay[] = [];
  /** Bytes of each feed's page. */
  private readonly limitBytes: number;
  /** Bytes of all pages. */
  private readonly mostBytes: number;

  private constructor(
    private readonly broker: Broker,
    { feeds, isResumed, tellsEnd = false, pageBytes, hidesPositions = false }: ReplayStart,
  ) {
    this.feeds = feeds;
    this.isResumed = isResumed;
    this.owesMark = !isResumed || tellsEnd;
    this.hidesPositions = hidesPositions;
    this.limitBytes = Math.max(leastBytes, Math.ceil(pageBytes / Math.max(1, feeds.length)));
    // Those who do not resume get a few of the newest messages of each feed, as a rule.
    this.mostBytes = isResumed ? Math.max(pageBytes, this.limitBytes * feeds.length) : Number.POSITIVE_INFINITY;
    // A connection without a feed has a position, too.
    this.parts = (feeds.length > 0 ? feeds : ['']).map((feed) => new FeedReplay(feed, this.limitBytes));
  }

  /** @throws what the broker fails with */
  static async open(broker: Broker, start: ReplayStart): Promise<Replay> {
    const replay = new Replay(broker, start);
    await replay.begin(start.startOf);
    return replay;
  }

  /** Ends the replay before a live message that its reader has already. */
  limitTo({ feed, offset }: StoredMessage): void {
    if (offset > this.limit || !this.feeds.includes(feed)) return;
    this.limit = offset - 1;
    this.updateEnd();
  }

  /** Counts its result, and from now on what is sent of it. */
  measuredBy(measures: RuleMeasures | undefined): this {
    if (!measures?.isOn) return this;
    this.sent = new SentReplay(measures);
    if (this.resumed) measures.resumes[this.resumed] += 1;
    return this;
  }

  /** All of it has been taken. */
  finish(): void {
    this.sent?.finish();
  }

  /** Puts a message before everything else. */
  prepend(message: TextMessage): void {
    this.ready.push(message);
  }

  /** Replays no more of a feed. */
  unfollow(feed: string): void {
    this.feeds = this.feeds.filter((other) => other !== feed);
    this.parts = this.parts.filter((part) => {
      if (part.feed === feed) this.waitingBytes -= part.waitingBytes;
      return part.feed !== feed;
    });
    this.update();
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
    const item = this.ready.length > 0 ? this.ready.shift() : (this.takeMessage() ?? this.takeMark());
    if (!this.hidesPositions || item === undefined) return item;
    return item instanceof Mark ? this.take() : withoutPosition(item);
  }

  /**
   * Reads on, on feeds of which all that was read has been taken: the one whose turn is first, and others for which there is room.
   *
   * @throws what the broker fails with
   */
  async read(): Promise<void> {
    const empty = this.parts.filter(({ next, hasMore }) => hasMore && next === undefined).sort((a, b) => a.end - b.end);
    let room = this.mostBytes - this.waitingBytes;
    const some = empty.filter(({ pageBytes }, n) => {
      room -= pageBytes;
      return n === 0 || room >= 0;
    });
    const { epoch } = this.start;
    this.isReading = true;
    await Promise.all(some.map((part, n) => this.load(part, { epoch, offset: part.end }, n === 0)));
    this.isReading = false;
    if (some.some(({ after }) => after.epoch !== epoch)) throw new BrokerUnavailableError('The broker has lost its messages.');
    this.pushResets(some);
    this.update();
  }

  private async begin(startOf: (feed: string) => Start): Promise<void> {
    const { parts, isResumed, feeds } = this;
    await Promise.all(parts.map((part) => this.load(part, feeds.length > 0 ? startOf(part.feed) : 'end')));
    this.start = parts.map(({ after }) => after).reduce((least, after) => (after.offset < least.offset ? after : least));
    const isFromEarliest = ({ feed }: FeedReplay) => feeds.length > 0 && startOf(feed) === 'earliest';
    this.endedFeeds = feeds.filter((_, n) => parts[n]?.isEndedBefore);
    if (isResumed && feeds.length > 0) this.resumed = resultOf(parts.filter(({ feed }) => isPosition(startOf(feed))));
    this.isCut = parts.some((part) => part.reset !== undefined && isFromEarliest(part));
    this.update();
    if (isResumed) {
      this.ready.push(new Mark(this.start, true));
      this.pushResets(
        parts.filter((part) => !isFromEarliest(part)),
        this.start,
      );
    }
  }

  /**
   * Drops at once what finds no room: the pages of many feeds may be large together.
   *
   * @param isNeeded whether the page is kept whatever its size
   */
  private async load(part: FeedReplay, start: Start, isNeeded = false): Promise<void> {
    const history = await this.broker.read(part.feed, start, this.limitBytes);
    if (!this.parts.includes(part)) return; // unfollowed meanwhile
    part.load(history, this.limitBytes, isNeeded ? Number.POSITIVE_INFINITY : this.mostBytes - this.waitingBytes);
    this.waitingBytes += part.waitingBytes;
  }

  private pushResets(parts: readonly FeedReplay[], position?: Position): void {
    for (const { feed, reset } of parts) if (reset !== undefined) this.ready.push(resetOf(feed, reset, position));
  }

  private update(): void {
    this.order = this.parts.filter(({ next }) => next !== undefined).sort((a, b) => offsetOf(a) - offsetOf(b));
    // A page that was needed may turn out to be newer than others.
    while (this.waitingBytes > this.mostBytes && this.order.length > 1) {
      const newest = this.order.pop() as FeedReplay;
      this.waitingBytes -= newest.waitingBytes;
      newest.drop();
    }
    this.updateEnd();
  }

  private updateEnd(): void {
    this.end = this.parts.reduce((least, { end }) => Math.min(least, end), this.limit);
  }

  private takeMessage(): StoredMessage | undefined {
    const part = this.next();
    if (!part) return undefined;
    const message = part.next as StoredMessage;
    this.waitingBytes -= part.take();
    this.sent?.note();
    this.order.shift();
    if (part.next !== undefined) this.insert(part);
    return message;
  }

  private takeMark(): Mark | undefined {
    if (!this.isMarkDue) return undefined;
    this.owesMark = false;
    return new Mark({ epoch: this.start.epoch, offset: this.end }, false);
  }

  /** Puts a feed into its place in the order. */
  private insert(part: FeedReplay): void {
    const { order } = this;
    const offset = offsetOf(part);
    let [low, high] = [0, order.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (offsetOf(order[middle] as FeedReplay) < offset) low = middle + 1;
      else high = middle;
    }
    order.splice(low, 0, part);
  }

  private get hasItem(): boolean {
    return this.ready.length > 0 || this.next() !== undefined || this.isMarkDue;
  }

  private get isMarkDue(): boolean {
    return this.owesMark && this.parts.length > 0 && !this.isLimited;
  }

  /** Whether a feed that has not been read to its end keeps the messages of the others from being sent. */
  private get isLimited(): boolean {
    const { end, isReading } = this;
    return isReading || this.parts.some((part) => part.hasMore && part.end === end);
  }

  /** The feed whose turn it is: messages go out in the order of all feeds, so none may be newer than what is still to be read. */
  private next(): FeedReplay | undefined {
    const [first] = this.order;
    return first && offsetOf(first) <= this.end ? first : undefined;
  }
}

function offsetOf({ next }: FeedReplay): number {
  return (next as StoredMessage).offset;
}
