/** How often it is looked who waits, in milliseconds. */
const tickMs = 100;
/** How many ticks one may wait before others are turned away. Ticks are counted: a busy process hears late that one need not wait any more. */
const mostTicks = 20;
/** The longest time after which one is asked to come back, before it is jittered, in milliseconds. */
const mostRetryMs = 15_000;

/**
 * Lets new connections in at the rate at which the broker takes them. Each waits until its feeds are subscribed and its history is read; while
 * one has waited for two seconds, the others are to come back later: each when its turn would be at that rate.
 */
export class Intake {
  /** Since when the broker takes them too slowly, in milliseconds since 1970; undefined while it does not. */
  slowSince: number | undefined = undefined;
  private readonly waiting = new Map<object, number>();
  private tick = 0;
  private taken = 0;
  /** How many are taken in a second. */
  private rate = 0;
  /** The turn of the one that was turned away last, by `performance.now()`. */
  private turnAt = 0;
  private timer: NodeJS.Timeout | undefined = undefined;

  /** Whether the one that has waited longest has waited too long. */
  get isFull(): boolean {
    return this.waitedTicks >= mostTicks;
  }

  /** Notes that a new connection waits for the broker. */
  begin(connection: object): void {
    this.waiting.set(connection, this.tick);
    this.timer ??= setInterval(() => this.look(), tickMs).unref();
  }

  /** Notes that it waits no longer. */
  end(connection: object): void {
    if (this.waiting.delete(connection)) this.taken += 1;
  }

  /** Seconds after which one that is turned away may come back, for `Retry-After`: the more there are, the later, and not all at once. */
  retryAfter(): number {
    const now = performance.now();
    const turnAt = Math.max(now, this.turnAt) + 1000 / Math.max(1, this.rate);
    this.turnAt = Math.min(turnAt, now + mostRetryMs);
    return Math.ceil(((this.turnAt - now) * (0.5 + Math.random())) / 1000);
  }

  private get waitedTicks(): number {
    for (const begun of this.waiting.values()) return this.tick - begun;
    return 0;
  }

  private look(): void {
    this.tick += 1;
    const share = tickMs / 1000;
    this.rate += share * (this.taken / share - this.rate);
    this.taken = 0;
    if (this.isFull) this.slowSince ??= Date.now();
    else if (this.waitedTicks < mostTicks / 2) this.slowSince = undefined;
    if (this.waiting.size > 0) return;
    clearInterval(this.timer);
    this.timer = undefined;
  }
}
