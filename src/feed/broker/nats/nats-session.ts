import { connect, type NatsConnection } from '@nats-io/transport-node';
import type { HistoryBounds } from '../broker.js';
import { intervalFactor } from '../interval-factor.js';
import type { ServerSession } from '../session-broker.js';
import { Waiters } from '../waiters.js';
import type { NatsSettings } from './nats.options.js';
import { NatsArrivals } from './nats-arrivals.js';
import { decode, feedOf } from './nats-codec.js';
import type { Delivery } from './nats-consumer.js';
import type { NatsFeeds } from './nats-feeds.js';
import { NatsNames } from './nats-names.js';
import { findServer } from './nats-probe.js';
import { NatsPublisher } from './nats-publisher.js';
import { commonEnd, renewRewritten } from './nats-rewritten.js';
import { NatsSignals } from './nats-signals.js';
import { heartbeatMs, NatsStream } from './nats-stream.js';

/** How long NATS may take to answer, in milliseconds. */
const answerMs = 3000;
/**
 * After how long the stream's state is requested, in milliseconds, unless something that this process has stored meanwhile has arrived. Where
 * there are many processes, all together request it as often as a few.
 */
const checkMs = 2000;
const fewProcesses = 4;
/** How many times later at the most: a stream whose leader has lost messages is another one, which only its state tells. */
const mostPutOff = 10;
/** After how many missed heartbeats a consumer counts as gone. */
const maxMissedHeartbeats = 2;

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
  readonly signals: NatsSignals;
  private readonly waiters = new Waiters();
  private readonly arrivals: NatsArrivals;
  /** The sequence of the last message that the stream had when this began. */
  private lastAtStart = 0;
  /** How many processes there are, as the stream's state tells. */
  private consumers = 1;
  private check: NodeJS.Timeout | undefined = undefined;
  /** When the stream's state was requested last, by `performance.now()`. */
  private syncedAt = Number.NEGATIVE_INFINITY;
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
    this.signals = new NatsSignals(connection, context.settings);
    const onReached = (offset: number) => this.waiters.reach(offset);
    const largestBytes = (connection.info?.max_payload ?? Number.POSITIVE_INFINITY) + 1024;
    this.arrivals = new NatsArrivals(stream, context.feeds, { largestBytes, onReached, fail: (cause) => this.end(cause) });
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
    this.arrivals.stop();
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
    if (pending === 0) this.arrivals.endAt(this.lastAtStart);
    await this.catchUp();
    this.scheduleCheck();
  }

  private scheduleCheck(): void {
    if (this.cause) return;
    this.check = setTimeout(() => this.runCheck(), Math.max(0, this.checkAt - performance.now()));
  }

  private get checkAt(): number {
    const interval = checkMs * intervalFactor(this.consumers, fewProcesses);
    return Math.min(this.context.feeds.completeAt + interval, this.syncedAt + interval * mostPutOff);
  }

  private runCheck(): void {
    if (performance.now() - this.stream.heardAt > maxMissedHeartbeats * heartbeatMs)
      this.end(new Error('the consumer sends no heartbeats'));
    // A timer may be a millisecond early.
    if (performance.now() + 1 < this.checkAt) this.scheduleCheck();
    else
      this.catchUp().then(
        () => this.scheduleCheck(),
        () => {}, // the session has ended
      );
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
      feeds.hadAllAt(requestedAt);
      this.syncedAt = requestedAt;
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
      if (feeds.offset === offset && !this.arrivals.isInspecting) this.end(new Error(`message ${sequence} does not arrive`));
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
    this.arrivals.add(sequence, time, feedOf(this.context.settings.prefix, subject), decode(data));
    if (pending === 0 && sequence < this.lastAtStart) void this.passLast();
  }

  /** Nothing seems to follow of what the stream had when this began: the last message of that may have expired. */
  private async passLast(): Promise<void> {
    try {
      if (!(await this.stream.get(this.lastAtStart)) && !this.cause) this.arrivals.endAt(this.lastAtStart);
    } catch (error) {
      this.end(error as Error);
    }
  }
}
