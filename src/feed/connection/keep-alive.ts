/** What looks after itself when the pulse comes by. */
export interface KeptAlive {
  look(pulse: KeepAlive): void;
}

/** What connections are held to, in milliseconds; 0 for not at all. */
export interface KeepAliveOptions {
  /** Silence after which a connection gets a heartbeat. */
  readonly heartbeatMs: number;
  /** How long bytes may wait without any progress. */
  readonly stallMs: number;
  /** The longest life of a connection. */
  readonly maxAgeMs: number;
}

/** Beats between the shortest time that is watched and what it is watched with. */
const exactness = 4;
/** The longest and the shortest beat, in milliseconds. */
const [longestBeatMs, shortestBeatMs] = [1000, 10];
/** How long one turn of the event loop may be busy with a walk, in milliseconds. */
const sliceMs = 2;
/** Connections that are visited between two looks at the clock. */
const stride = 64;
/** The part of its life that a connection may lose at random, so that those which came together do not come back together. */
const ageJitter = 0.2;

/**
 * The one timer of all connections. At each beat it walks over them, in slices, and each looks after itself: whether it is silent,
 * stalled, or has had its time. Time is counted in beats, so that a connection keeps small numbers and a write reads no clock.
 */
export class KeepAlive {
  /** Beats so far. */
  beat = 1;
  /** The time at the last beat, in milliseconds since 1970. */
  now = Date.now();
  readonly heartbeatBeats: number;
  readonly stallBeats: number;
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
    this.heartbeatBeats = this.beatsOf(heartbeatMs);
    this.stallBeats = this.beatsOf(stallMs);
    this.maxAgeMs = maxAgeMs;
  }

  /** The beat at which a connection that opens now has had its time; Infinity for none. */
  ageBeat(): number {
    if (this.maxAgeMs === 0) return Number.POSITIVE_INFINITY;
    return this.beat + Math.max(1, Math.ceil((this.maxAgeMs * (1 - Math.random() * ageJitter)) / this.beatMs));
  }

  /** Beats until there are no connections any more. */
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

  /** Visits connections until the slice is over; whatever else the event loop has to do comes before the next slice. */
  private visit(): void {
    const until = performance.now() + sliceMs;
    do {
      for (let n = 0; n < stride; n += 1) {
        const next = this.walk?.next();
        if (!next || next.done) {
          this.walk = undefined;
          return;
        }
        next.value.look(this);
      }
    } while (performance.now() < until);
    setImmediate(() => this.visit()).unref();
  }
}
