import { cleared, type decode } from './nats-codec.js';
import type { NatsFeeds } from './nats-feeds.js';
import type { NatsStream } from './nats-stream.js';

/** How many requests for messages are made at a time. */
const requestsAtOnce = 100;

/** What arrived, or where the stream ends. The content is undefined where another program has published it, and at the end. */
interface Arrival {
  readonly sequence: number;
  /** The last sequence that is missing unless it has arrived: the one before a message, and an end's own. */
  readonly lastMissing: number;
  readonly time: number;
  readonly feed: string;
  readonly content: ReturnType<typeof decode>;
}

interface ArrivalsOptions {
  /** How many bytes a message may have in NATS. */
  readonly largestBytes: number;
  /** Called when everything up to an offset has been delivered. */
  readonly onReached: (offset: number) => void;
  readonly fail: (cause: Error) => void;
}

/** Delivers to feeds what arrives of the stream over one session, and finds out which feeds have lost messages where some are missing. */
export class NatsArrivals {
  isInspecting = false;
  private waiting: Arrival[] = [];
  /** Gaps up to this sequence have been inspected. */
  private inspectedUpTo = 0;
  private isStopped = false;

  constructor(
    private readonly stream: NatsStream,
    private readonly feeds: NatsFeeds,
    private readonly options: ArrivalsOptions,
  ) {}

  /** @param time when NATS stored the message */
  add(sequence: number, time: number, feed: string, content: Arrival['content']): void {
    this.arrive({ sequence, lastMissing: sequence - 1, time, feed, content });
  }

  /** All that the stream had up to a sequence has arrived, or is gone. */
  endAt(sequence: number): void {
    const before = this.waiting.at(-1);
    if (sequence <= (before?.sequence ?? this.feeds.offset)) return;
    this.arrive({ sequence, lastMissing: sequence, time: before?.time ?? Number.NEGATIVE_INFINITY, feed: '', content: undefined });
  }

  stop(): void {
    this.isStopped = true;
    this.waiting = [];
  }

  private arrive(arrival: Arrival): void {
    this.waiting.push(arrival);
    if (!this.isInspecting) this.deliver();
  }

  /** Delivers what has arrived, up to a gap that has to be inspected first. */
  private deliver(): void {
    const { feeds } = this;
    for (const [n, { sequence, lastMissing, time, feed, content }] of this.waiting.entries()) {
      if (lastMissing > feeds.offset && sequence > this.inspectedUpTo) {
        this.waiting.splice(0, n);
        void this.inspectGaps();
        return;
      }
      if (content === cleared) feeds.clearFeed(feed, sequence, time);
      else if (content) feeds.deliver(feed, sequence, time, content);
      else feeds.skip(sequence, lastMissing);
      this.options.onReached(feeds.offset);
    }
    this.waiting = [];
  }

  /** Finds out which feeds may have lost messages in the gaps between arrivals. What arrives meanwhile waits. */
  private async inspectGaps(): Promise<void> {
    this.isInspecting = true;
    const { sequence, lastMissing } = this.waiting.at(-1) as Arrival;
    this.inspectedUpTo = sequence;
    try {
      await this.findLosses(lastMissing);
      if (this.isStopped) return;
      this.isInspecting = false;
      this.deliver();
    } catch (error) {
      this.options.fail(error as Error);
    }
  }

  /**
   * A message is missing because its feed has as many newer ones as the stream stores, because its own time to live is over, or because the
   * stream's oldest messages expired or had too many bytes. Which ones those were is not known: every feed may have lost messages before
   * the first that is left, unless the time was too short and the bytes too few for that.
   *
   * @param lastMissing the last sequence that may be missing
   */
  private async findLosses(lastMissing: number): Promise<void> {
    const { feeds } = this;
    const { first, last, at, full, maxAgeMs, maxBytes, ttlsMs } = await this.stream.losses();
    const isYoung = performance.now() - feeds.completeAt < maxAgeMs && (last - feeds.offset) * this.options.largestBytes < maxBytes;
    feeds.forgetResolved();
    const gaps = ttlsMs.length > 0 ? this.gaps(at) : [];
    let hasExpired = false;
    for (const ttlMs of ttlsMs) {
      const gap = gaps.findLast(({ ageMs }) => ageMs >= ttlMs);
      if (gap) feeds.suspectExpired(ttlMs, gap.end, last);
      hasExpired ||= gap !== undefined;
    }
    const isExplained = (full.length > 0 || hasExpired) && (first <= feeds.offset + 1 || isYoung);
    if (!isExplained) feeds.suspectAll(first > feeds.offset + 1 ? first - 1 : lastMissing, last);
    for (let n = 0; n < full.length; n += requestsAtOnce) {
      const some = await Promise.all(full.slice(n, n + requestsAtOnce).map(async (feed) => ((await this.hasLost(feed)) ? [feed] : [])));
      feeds.suspect(some.flat(), last);
    }
  }

  /**
   * The gaps between arrivals that are inspected: the sequence of the last message that is missing, and how old the first can be.
   *
   * @param now the time by the clock of the server, by which messages expire
   */
  private gaps(now: number): { readonly end: number; readonly ageMs: number }[] {
    const { feeds } = this;
    const mostMs = performance.now() - feeds.completeAt;
    const gaps: { end: number; ageMs: number }[] = [];
    let before: Pick<Arrival, 'sequence' | 'time'> = {
      sequence: feeds.offset,
      time: feeds.timeOf(feeds.offset) ?? Number.NEGATIVE_INFINITY,
    };
    for (const arrival of this.waiting) {
      const { sequence, lastMissing } = arrival;
      if (sequence > this.inspectedUpTo) break;
      if (lastMissing > before.sequence) gaps.push({ end: lastMissing, ageMs: Math.min(mostMs, now - before.time) });
      before = arrival;
    }
    return gaps;
  }

  /** A feed loses its oldest messages first: where the last one that arrived is still stored, all later ones are. */
  private async hasLost(feed: string): Promise<boolean> {
    const newest = this.feeds.newestOf(feed);
    return newest === undefined || (await this.stream.has(newest)) !== true;
  }
}
