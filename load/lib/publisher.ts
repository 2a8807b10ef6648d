import type { Feed } from './feed.js';
import { until } from './waits.js';

/** How often messages that are due are begun, in milliseconds. */
const stepMs = 10;
/** How long the last answers may take, in milliseconds: what is published again and again is given up earlier. */
const mostMs = 300_000;

/** Publishes numbered messages to feeds at a rate. What can't be begun in time is not made up for. */
export class Publisher {
  /** Messages that followers must get, and others. */
  acknowledged = 0;
  unacknowledged = 0;
  /** Messages whose answers are still to come. */
  underWay = 0;
  readonly #timers: NodeJS.Timeout[] = [];

  /** @param send resolves with whether followers must get a message, which is so once it was acknowledged */
  constructor(private readonly send: (feed: Feed, text: string) => Promise<boolean>) {}

  /**
   * @param next a feed that is not busy; undefined where there is none
   * @param bytes that a message has at least
   * @param most how many messages are begun in all
   */
  start(perSecond: number, next: () => Feed | undefined, bytes: () => number = () => 0, most = Number.POSITIVE_INFINITY): void {
    const begunAt = performance.now();
    let begun = 0;
    let left = most;
    const timer = setInterval(() => {
      const due = Math.floor(((performance.now() - begunAt) / 1000) * perSecond);
      for (; begun < due; begun += 1) {
        const feed = left > 0 ? next() : undefined;
        if (!feed) continue;
        left -= 1;
        void this.#publish(feed, bytes());
      }
    }, stepMs);
    this.#timers.push(timer);
  }

  /** Messages of which it is known whether followers must get them. */
  get answered(): number {
    return this.acknowledged + this.unacknowledged;
  }

  /** Resolves once all messages are answered; each of them is in the end. */
  async stop(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    await until(() => this.underWay === 0, mostMs);
  }

  async #publish(feed: Feed, bytes: number): Promise<void> {
    this.underWay += 1;
    if (await feed.publish(this.send, bytes)) this.acknowledged += 1;
    else this.unacknowledged += 1;
    this.underWay -= 1;
  }
}

/** Takes feeds in turn; passes those over whose last message is not answered yet. */
export function inTurn(feeds: readonly Feed[]): () => Feed | undefined {
  let next = 0;
  return () => {
    for (let looked = 0; looked < feeds.length; looked += 1) {
      const feed = feeds[next % feeds.length];
      next += 1;
      if (!feed.isBusy) return feed;
    }
    return undefined;
  };
}
