import { connect, type NatsConnection } from '@nats-io/transport-node';
import type { HistoryBounds } from '../broker.js';
import { crowding } from '../crowd.js';
import type { ServerSession } from '../session-broker.js';
import { Waiters } from '../waiters.js';
import type { NatsSettings } from './nats.options.js';
import { cleared, decode, feedOf } from './nats-codec.js';
import type { Delivery } from './nats-consumer.js';
import type { NatsFeeds } from './nats-feeds.js';
import { NatsNames } from './nats-names.js';
import { findServer } from './nats-probe.js';
import { NatsPublisher } from './nats-publisher.js';
import { commonEnd, renewRewritten } from './nats-rewritten.js';
import { heartbeatMs, NatsStream } from './nats-stream.js';

/** How long NATS may take to answer, in milliseconds. */
const answerMs = 3000;
/** How often the stream's state is requested, in milliseconds, where few processes do. */
const checkMs = 2000;
/** After how many missed heartbeats a consumer counts as gone. */
const maxMissedHeartbeats = 3;
/** How many requests for messages are made at a time. */
const requestsAtOnce = 100;

/** What arrived. The content is undefined where another program has published it. */
interface Arrival {
  readonly sequence: number;
  readonly time: number;
  readonly feed: string;
  readonly content: ReturnType<typeof decode>;
}

/** What a session is opened with. */
export interface SessionContext {
  readonly settings: NatsSettings;
  readonly bounds: HistoryBounds;
  readonly feeds: NatsFeeds;
  readonly signal: AbortSignal;
}

/**
 * One connection to NATS and its consumer of the stream. Any failure ends the session, and the next one continues where this one ended:
 * starting, reconnecting and replacing a lost consumer are the same.
 */
export class NatsSession implements ServerSession {
  readonly ended: Promise<Error>;
  readonly publisher: NatsPublisher;
  readonly names: NatsNames;
  private readonly waiters = new Waiters();
  private arrivals: Arrival[] = [];
  /** The sequence of the last message that the stream had when this began. */
  private lastAtStart = 0;
  private isInspecting = false;
  /** Gaps before messages up to this sequence have been inspected. */
  private inspectedUpTo = 0;
  /** How many processes there are, as the stream's state tells. */
  private consumers = 1;
  private check: NodeJS.Timeout | undefined = undefined;
  private syncing: Promise<void> | undefined = undefined;
  private nextSync: Promise<void> | undefined = undefined;
  private cause: Error | undefined = undefined;
  private readonly abort = () => this.end(this.context.signal.reason);
  private resolveEnded!: (cause: Error) => void;

  private constructor(
    private readonly connection: NatsConnection,
    private readonly stream: NatsStream,
    private readonly context: SessionContext,
  ) {
    this.publisher = new NatsPublisher(connection, stream, context, this);
    this.names = new NatsNames(connection, context.settings);
    this.ended = new Promise((resolve) => {
      this.resolveEnded = resolve;
    });
    context.signal.addEventListener('abort', this.abort);
    void connection.closed().then((error) => this.end(error ?? new Error('the connection was closed')));
  }

  /** Resolves when this process has received everything that the stream stores. */
  static async open(context: SessionContext): Promise<NatsSession> {
    const { settings, bounds, signal } = context;
    const { host, port } = await findServer(settings, answerMs, signal);
    const connection = await connect({
      ...settings.client,
      servers: `${host.includes(':') ? `[${host}]` : host}:${port}`,
      timeout: answerMs,
      reconnect: false,
      noAsyncTraces: true,
    });
    const session = new NatsSession(connection, await NatsStream.on(connection, settings, bounds, answerMs), context);
    try {
      signal.throwIfAborted();
      await session.start();
      return session;
    } catch (error) {
      session.end(error as Error);
      throw error;
    }
  }

  /**
   * Resolves when everything that the stream has at this moment has been delivered in this process. Calls that are made while a request
   * is on its way share the next one.
   */
  catchUp(): Promise<void> {
    this.nextSync ??= (async () => {
      await this.syncing?.catch(() => {});
      this.syncing = this.nextSync;
      this.nextSync = undefined;
      await this.sync();
    })();
    return this.nextSync;
  }

  end(cause: Error): void {
    if (this.cause) return;
    this.cause = cause;
    clearTimeout(this.check);
    this.context.signal.removeEventListener('abort', this.abort);
    this.arrivals = [];
    this.waiters.fail(cause);
    this.connection.close().catch(() => {}); // it is closed already
    this.resolveEnded(cause);
  }

  private async start(): Promise<void> {
    const { feeds } = this.context;
    let state = await this.stream.prepare(feeds.epoch === undefined);
    state = await renewRewritten(this.stream, feeds, state);
    if (feeds.epoch !== state.epoch) feeds.begin(state.epoch, state.last, await commonEnd(this.stream, feeds, state.last));
    this.lastAtStart = state.last;
    const { pending } = await this.stream.consume(
      feeds.offset + 1,
      (delivery) => this.receive(delivery),
      (cause) => this.end(cause),
    );
    if (pending === 0) this.arriveAtLast();
    await this.catchUp();
    this.scheduleCheck();
  }

  private scheduleCheck(): void {
    if (this.cause) return;
    this.check = setTimeout(() => {
      if (performance.now() - this.stream.heardAt > maxMissedHeartbeats * heartbeatMs)
        this.end(new Error('the consumer sends no heartbeats'));
      this.catchUp().then(
        () => this.scheduleCheck(),
        () => {}, // the session has ended
      );
    }, checkMs * crowding(this.consumers));
  }

  private async sync(): Promise<void> {
    const { feeds } = this.context;
    try {
      if (this.cause) throw this.cause;
      const requestedAt = performance.now();
      const { offset } = feeds;
      const { epoch, last, consumers } = await this.stream.state();
      this.consumers = consumers;
      if (epoch !== feeds.epoch || last < offset) throw new Error('the stream was created again');
      await this.arrivalOf(last);
      feeds.completeAt = requestedAt;
    } catch (error) {
      this.end(error as Error);
      throw error;
    }
  }

  /** Resolves when the message with the sequence has been delivered, or is known to be gone. */
  async arrivalOf(sequence: number): Promise<void> {
    const { feeds } = this.context;
    if (this.cause) throw this.cause;
    if (feeds.offset >= sequence) return;
    let { offset } = feeds;
    const stall = setInterval(() => {
      if (feeds.offset === offset && !this.isInspecting) this.end(new Error(`message ${sequence} does not arrive`));
      offset = feeds.offset;
    }, answerMs);
    try {
      await this.waiters.wait(sequence);
    } finally {
      clearInterval(stall);
    }
  }

  private receive({ subject, data, sequence, time, pending }: Delivery): void {
    if (this.cause) return;
    this.arrive({ sequence, time, feed: feedOf(this.context.settings.prefix, subject), content: decode(data) });
    if (pending === 0 && sequence < this.lastAtStart) void this.passLast();
  }

  /** Nothing seems to follow of what the stream had when this began: the last message of that may have expired. */
  private async passLast(): Promise<void> {
    try {
      if (!(await this.stream.get(this.lastAtStart))) this.arriveAtLast();
    } catch (error) {
      this.end(error as Error);
    }
  }

  /** All that the stream had when this began has arrived, or is gone. */
  private arriveAtLast(): void {
    const { lastAtStart: sequence, arrivals } = this;
    const before = arrivals.at(-1);
    if (this.cause || sequence <= (before?.sequence ?? this.context.feeds.offset)) return;
    this.arrive({ sequence, time: before?.time ?? Number.NEGATIVE_INFINITY, feed: '', content: undefined });
  }

  private arrive(arrival: Arrival): void {
    this.arrivals.push(arrival);
    if (!this.isInspecting) this.deliverArrivals();
  }

  /** Delivers what has arrived, up to a gap that has to be inspected first. */
  private deliverArrivals(): void {
    const { feeds } = this.context;
    for (const [n, { sequence, time, feed, content }] of this.arrivals.entries()) {
      if (sequence > feeds.offset + 1 && sequence > this.inspectedUpTo) {
        this.arrivals.splice(0, n);
        void this.inspectGaps();
        return;
      }
      if (content === cleared) feeds.clearFeed(feed, sequence);
      else if (content) feeds.deliver(feed, sequence, time, content);
      else feeds.skip(sequence);
      this.waiters.reach(feeds.offset);
    }
    this.arrivals = [];
  }

  /** Finds out which feeds may have lost messages in the gaps between arrivals. What arrives meanwhile waits. */
  private async inspectGaps(): Promise<void> {
    this.isInspecting = true;
    this.inspectedUpTo = this.arrivals.at(-1)?.sequence as number;
    try {
      await this.findLosses();
      if (this.cause) return;
      this.isInspecting = false;
      this.deliverArrivals();
    } catch (error) {
      this.end(error as Error);
    }
  }

  /**
   * A message is missing because its feed has as many newer ones as the stream stores, because its own time to live is over, or because the
   * stream's oldest messages expired or had too many bytes. Which ones those were is not known: every feed may have lost messages before
   * the first that is left, unless the time was too short and the bytes too few for that.
   */
  private async findLosses(): Promise<void> {
    const { feeds } = this.context;
    const { first, last, at, full, maxAgeMs, maxBytes, ttlsMs } = await this.stream.losses();
    const largest = (this.connection.info?.max_payload ?? Number.POSITIVE_INFINITY) + 1024;
    const isYoung = performance.now() - feeds.completeAt < maxAgeMs && (last - feeds.offset) * largest < maxBytes;
    feeds.forgetResolved();
    const gaps = ttlsMs.length > 0 ? this.gaps(at) : [];
    let hasExpired = false;
    for (const ttlMs of ttlsMs) {
      const gap = gaps.findLast(({ ageMs }) => ageMs >= ttlMs);
      if (gap) feeds.suspectExpired(ttlMs, gap.end, last);
      hasExpired ||= gap !== undefined;
    }
    const isExplained = (full.length > 0 || hasExpired) && (first <= feeds.offset + 1 || isYoung);
    if (!isExplained) feeds.suspectAll(first > feeds.offset + 1 ? first - 1 : this.inspectedUpTo - 1, last);
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
    const { feeds } = this.context;
    const mostMs = performance.now() - feeds.completeAt;
    const gaps: { end: number; ageMs: number }[] = [];
    let before: Pick<Arrival, 'sequence' | 'time'> = {
      sequence: feeds.offset,
      time: feeds.timeOf(feeds.offset) ?? Number.NEGATIVE_INFINITY,
    };
    for (const arrival of this.arrivals) {
      const { sequence } = arrival;
      if (sequence > this.inspectedUpTo) break;
      if (sequence > before.sequence + 1) gaps.push({ end: sequence - 1, ageMs: Math.min(mostMs, now - before.time) });
      before = arrival;
    }
    return gaps;
  }

  /** A feed loses its oldest messages first: where the last one that arrived is still stored, all later ones are. */
  private async hasLost(feed: string): Promise<boolean> {
    const newest = this.context.feeds.newestOf(feed);
    return newest === undefined || (await this.stream.has(newest)) !== true;
  }
}
