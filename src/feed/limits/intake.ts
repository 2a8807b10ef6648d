import { Turns } from '../time/turns.js';

/** How often the waiting connections are checked, in milliseconds. */
const tickMs = 100;
/** How long a connection may wait before new ones are rejected, in milliseconds, … */
const mostWaitMs = 2000;
/** … and how many ticks at least: a process that was busy for so long may get the broker's answers in its next turn. */
const leastTicks = 3;

/**
 * Accepts new connections at the rate at which the broker serves them. Each waits until its feeds are subscribed and its history is read.
 * While one has waited for two seconds, new ones are rejected, each with the time of its turn at that rate as `Retry-After`.
 */
export class Intake {
  /** Since when the broker serves them too slowly, in milliseconds since 1970; undefined while it does not. */
  slowSince: number | undefined = undefined;
  /** When each began to wait, by `performance.now()`. */
  private readonly waiting = new Map<object, number>();
  /** When the last ticks were. */
  private readonly ticks: number[] = Array.from({ length: leastTicks }, () => 0);
  private served = 0;
  /** How many the broker serves in a second. */
  private rate = 0;
  private readonly turns = new Turns();
  private timer: NodeJS.Timeout | undefined = undefined;

  /** Whether the one that has waited longest has waited too long. */
  get isFull(): boolean {
    return this.waitedMs >= mostWaitMs;
  }

  /** Notes that a new connection waits for the broker. */
  begin(connection: object): void {
    this.waiting.set(connection, performance.now());
    this.timer ??= setInterval(() => this.look(), tickMs).unref();
  }

  /** Notes that it waits no longer. */
  end(connection: object): void {
    if (this.waiting.delete(connection)) this.served += 1;
  }

  /** Seconds for the `Retry-After` of a rejected connection: the more there are, the later, and not all at once. */
  retryAfter(): number {
    return this.turns.retryAfter(1000 / Math.max(1, this.rate));
  }

  private get waitedMs(): number {
    for (const begunAt of this.waiting.values()) return begunAt < (this.ticks[0] as number) ? performance.now() - begunAt : 0;
    return 0;
  }

  private look(): void {
    this.ticks.push(performance.now());
    this.ticks.shift();
    const share = tickMs / 1000;
    this.rate += share * (this.served / share - this.rate);
    this.served = 0;
    if (this.isFull) this.slowSince ??= Date.now();
    else if (this.waitedMs < mostWaitMs / 2) this.slowSince = undefined;
    if (this.waiting.size > 0) return;
    clearInterval(this.timer);
    this.timer = undefined;
  }
}
