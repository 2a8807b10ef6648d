// Clients that come without end, each with a feed of its own, and come back when they are asked to: a process of its own, since a process
// has descriptors for some 20,000 connections. Arguments: how many come, how many a second, the URLs of the nodes. Tells its parent four
// times a second what they have seen.
import { type Client, Connection } from '../lib/connection.js';
import { percentile } from '../lib/figures.js';
import { atRate } from '../lib/waits.js';

/** What they have seen, all together. */
export interface Visits {
  /** Those that have come, and those of them that have not been let in so far. */
  come: number;
  outside: number;
  /** Answers by status, or why there was none. */
  answers: Record<string, number>;
  /** How long a 503 took, and what the longest Retry-After was, in milliseconds. */
  refusedMs: number;
  retryMs: number;
  /** How long ago one was told to come back, or was answered late, in milliseconds. */
  wellMs: number;
}

/** How long one stays, how long it waits for an answer, and how late that may be while all is well, in milliseconds. */
const [stayMs, patienceMs, lateMs] = [2000, 7000, 1000];

const [count, perSecond, ...urls] = process.argv.slice(2);
const nodes = urls.map((url) => new URL(url));
const visits: Visits = { come: 0, outside: 0, answers: {}, refusedMs: 0, retryMs: 0, wellMs: 0 };
const refusedMs: number[] = [];
let lastBadAt = 0;

class Visitor implements Client {
  #begunAt = 0;
  #connection!: Connection;
  #retryMs: number | undefined = undefined;
  #isIn = false;
  #timer: NodeJS.Timeout | undefined = undefined;

  constructor(private readonly name: string) {
    visits.come += 1;
    visits.outside += 1;
    this.#come();
  }

  head(status: number, retryAfterMs = stayMs): void {
    const tookMs = performance.now() - this.#begunAt;
    clearTimeout(this.#timer);
    this.#count(`${status}`, status !== 200 || tookMs > lateMs);
    if (status === 200) {
      this.#isIn = true;
      visits.outside -= 1;
      setTimeout(() => this.#connection.leave('fin'), stayMs);
      return;
    }
    refusedMs.push(tookMs);
    visits.retryMs = Math.max(visits.retryMs, retryAfterMs);
    this.#retryMs = retryAfterMs;
    this.#connection.destroy();
  }

  message(): void {}

  closed(why: string): void {
    if (this.#connection.hasLeft) return;
    clearTimeout(this.#timer);
    if (this.#isIn) this.#count('ended', true);
    else {
      if (this.#retryMs === undefined) this.#count(this.#timer ? why : 'no answer', true);
      setTimeout(() => this.#come(), this.#retryMs ?? stayMs);
    }
  }

  #come(): void {
    this.#retryMs = undefined;
    this.#begunAt = performance.now();
    this.#connection = new Connection(nodes[Math.floor(Math.random() * nodes.length)], `/test/${this.name}`, this);
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#connection.destroy();
    }, patienceMs);
  }

  #count(answer: string, isBad: boolean): void {
    visits.answers[answer] = (visits.answers[answer] ?? 0) + 1;
    if (isBad) lastBadAt = performance.now();
  }
}

setInterval(() => {
  visits.refusedMs = percentile(refusedMs, 0.99);
  visits.wellMs = performance.now() - lastBadAt;
  process.send?.(visits);
}, 250);
process.once('disconnect', () => process.exit(1));
await atRate(Number(count), Number(perSecond), (n) => new Visitor(`new-${n}`));
