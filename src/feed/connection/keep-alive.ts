import type { EndReason } from '../stats/end-reason.js';
import type { Transport } from '../transport/transport.js';

/** A connection that is kept alive, or ended in time. */
export interface KeptAlive {
  readonly transport: Transport | undefined;
  readonly reason: EndReason | undefined;
  readonly client: { readonly expiresAt?: number | undefined };
  /** The beat of the last write. */
  readonly sentBeat: number;
  /** The beat at which bytes last left for the client, and how many had left by then. */
  progressBeat: number;
  progressBytes: number;
  /** The beat at which it reaches its longest life. */
  readonly lastBeat: number;
  sendHeartbeat(): void;
  end(reason: EndReason): void;
}

/** Bounds of connections, in milliseconds; 0 for none. */
export interface KeepAliveOptions {
  /** Silence after which a connection gets a heartbeat. */
  readonly heartbeatMs: number;
  /** How long bytes may wait without any progress. */
  readonly stallMs: number;
  /** The longest life of a connection. */
  readonly maxAgeMs: number;
}

/** How many beats there are in the shortest of these times. */
const exactness = 4;
/** The longest and the shortest beat, in milliseconds. */
const [longestBeatMs, shortestBeatMs] = [1000, 10];
/** How long a walk over the connections may block the event loop, in milliseconds. */
const sliceMs = 2;
/** How many connections are visited before the clock is read again. */
const stride = 64;
/** The part of its life that a connection may lose at random, so that clients which came together do not reconnect together. */
const ageJitter = 0.2;

/**
 * The one timer of all connections. At each beat it walks over them, in slices, and checks each: whether it is silent,
 * stalled or too old, or its token has expired. Time is counted in beats, so that a connection keeps small numbers and a write reads no clock.
 */
export class KeepAlive {
  /** Beats so far. */
  beat = 1;
  /** The time at the last beat, in milliseconds since 1970. */
  now = Date.now();
  readonly heartbeatMs: number;
  private readonly heartbeatBeats: number;
  private readonly stallBeats: number;
  private readonly beatMs: number;
  private readonly maxAgeMs: number;
  private timer: NodeJS.Timeout | undefined = undefined;
  private walk: Iterator<KeptAlive> | undefined = undefined;

  constructor(
    private readonly connections: ReadonlySet<KeptAlive>,
    { heartbeatMs, stallMs, maxAgeMs }: KeepAliveOptions,
  ) {
    const shortest = Math.min(...[heartbeatMs, stallMs, maxAgeMs].filter((ms) => ms > 0), Number.POSITIVE_INFINITY) / exactness;
    this.beatMs = Math.round(Math.max(shortestBeatMs, Math.min(longestBeatMs, shortest)));
    this.heartbeatMs = heartbeatMs;
    this.heartbeatBeats = this.beatsOf(heartbeatMs);
    this.stallBeats = this.beatsOf(stallMs);
    this.maxAgeMs = maxAgeMs;
  }

  /** The beat at which a connection that opens now reaches its longest life; Infinity for none. */
  ageBeat(): number {
    return this.maxAgeMs === 0 ? Number.POSITIVE_INFINITY : this.beatAfter(this.maxAgeMs * (1 - Math.random() * ageJitter));
  }

  /** The first beat after a time, in milliseconds. */
  beatAfter(ms: number): number {
    return this.beat + Math.max(1, Math.ceil(ms / this.beatMs));
  }

  /** How long a beat is ago, in milliseconds. */
  msSince(beat: number): number {
    return (this.beat - beat) * this.beatMs;
  }

  /** Beats as long as there are connections. */
  start(): void {
    this.timer ??= setInterval(() => this.onBeat(), this.beatMs).unref();
  }

  private beatsOf(ms: number): number {
    return ms === 0 ? Number.POSITIVE_INFINITY : Math.ceil(ms / this.beatMs);
  }

  private onBeat(): void {
    this.beat += 1;
    this.now = Date.now();
    if (this.connections.size === 0) {
      clearInterval(this.timer);
      this.timer = undefined;
    } else if (!this.walk) {
      this.walk = this.connections.values();
      this.visit();
    }
  }

  /** Visits connections for one slice of time; the event loop gets a turn before the next slice. */
  private visit(): void {
    const until = performance.now() + sliceMs;
    do {
      for (let n = 0; n < stride; n += 1) {
        const next = this.walk?.next();
        if (!next || next.done) {
          this.walk = undefined;
          return;
        }
        this.check(next.value);
      }
    } while (performance.now() < until);
    setImmediate(() => this.visit()).unref();
  }

  private check(connection: KeptAlive): void {
    const { transport, progressBytes } = connection;
    if (!transport) {
      this.checkLife(connection);
      return;
    }
    const { beat } = this;
    const isWaiting = transport.waitingBytes > 0;
    const sentBytes = isWaiting ? transport.sentBytes : progressBytes;
    if (!isWaiting || sentBytes !== progressBytes) {
      connection.progressBytes = sentBytes;
      connection.progressBeat = beat;
    } else if (beat - connection.progressBeat >= this.stallBeats) {
      connection.end('stalled');
      transport.destroy(); // also where it has ended otherwise, and its client does not read the end
      return;
    }
    this.checkLife(connection);
    if (connection.reason !== undefined) return;
    if (!isWaiting && beat - connection.sentBeat >= this.heartbeatBeats) connection.sendHeartbeat();
  }

  private checkLife(connection: KeptAlive): void {
    if (connection.reason !== undefined) return;
    const { expiresAt = Number.POSITIVE_INFINITY } = connection.client;
    if (expiresAt <= this.now) connection.end('expired');
    else if (this.beat >= connection.lastBeat) connection.end('aged');
  }
}
