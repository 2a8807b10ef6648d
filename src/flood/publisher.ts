import { Agent, request } from 'node:http';
import { Durations } from './durations.js';
import type { Feed } from './feed.js';
import { messageText } from './numbered-line.js';
import type { ResolvedFloodOptions } from './options.js';
import { pause } from './pause.js';
import type { PublishReport } from './report.js';
import { type Sequence, sumFaults } from './sequence.js';

/** Posts that wait for their answer at the most, and the sockets they have: a server that is dead must not pile up more. */
export const maxPosts = 32;

/** How often posts that are due are begun, in milliseconds, unless they are due more often. */
const longestStep = 10;

/** Milliseconds after the flood's duration, in which posts that are late are still begun. */
const lateness = 1000;

/** Milliseconds that the last answers and deliveries may take, once nothing is posted any more. */
const patience = 5000;

/** Milliseconds after which an idle socket is closed: before a server would (Node's: 5000), or a post might meet it closing. */
const idle = 2000;

/** Posts numbered messages to feeds that are followed, and learns from their followers what became of them. */
export class Publisher {
  /** Deliveries so far: one message counts once for each follower that got it. */
  delivered = 0;
  private readonly agent = new Agent({ keepAlive: true, maxSockets: maxPosts, timeout: idle });
  private readonly headers: Record<string, string>;
  private readonly latency = new Durations();
  private readonly last = new Durations();
  private readonly reasons = new Map<string, number>();
  private due = 0;
  private sent = 0;
  private acknowledged = 0;
  private failed = 0;
  private unsent = 0;
  private perSecond = 0;

  constructor(
    private readonly rate: number,
    private readonly feeds: Feed[],
    private readonly options: ResolvedFloodOptions,
  ) {
    this.headers = { 'Content-Type': 'text/plain', ...(options.key === undefined ? {} : { Authorization: `Bearer ${options.key}` }) };
  }

  /** Posts at the rate for the flood's duration, then waits for the answers and deliveries that are on their way. */
  async run(signal: AbortSignal | undefined): Promise<void> {
    const { rate, feeds } = this;
    const { duration, timeout } = this.options;
    const until = async (isDone: () => boolean, ms: number) => {
      const givesUpAt = performance.now() + Math.min(ms, timeout * 1000);
      while (!isDone() && performance.now() < givesUpAt && !signal?.aborted) await pause(longestStep, signal);
    };
    const begunAt = performance.now();
    let seconds = 0;
    while (seconds < duration && !signal?.aborted) {
      await pause(Math.min(longestStep, 1000 / rate), signal);
      seconds = Math.min(duration, (performance.now() - begunAt) / 1000);
      this.due = Math.ceil(seconds * rate);
      this.postDue();
    }
    this.perSecond = seconds > 0 ? this.sent / seconds : 0;
    await until(() => this.sent === this.due, lateness);
    this.unsent = this.due - this.sent;
    this.due = this.sent; // nothing is posted from here on
    await until(() => feeds.every(({ isSettled }) => isSettled), patience);
    for (const feed of feeds) this.answer(feed, feed.last, 'no answer');
    this.agent.destroy();
  }

  /** A follower got a message that was sent at `micros`; `isLast` when it was the last one to get it. */
  receive(micros: number, isLast: boolean): void {
    const ms = performance.now() - micros / 1000;
    this.delivered += 1;
    this.latency.record(ms);
    if (isLast) this.last.record(ms);
  }

  /** @param received the sequence of messages of each follower */
  report(received: Sequence[]): PublishReport {
    const { rate, perSecond, sent, unsent, acknowledged, failed, delivered } = this;
    const { repeated, outOfOrder, misdelivered } = sumFaults(received);
    return {
      rate,
      perSecond,
      sent,
      unsent,
      acknowledged,
      failed,
      reasons: Object.fromEntries(this.reasons),
      delivered,
      lost: this.feeds.reduce((sum, { outstanding }) => sum + outstanding, 0),
      repeated,
      outOfOrder,
      misdelivered,
      latencyMs: this.latency.summary(),
      lastMs: this.last.summary(),
    };
  }

  /** Begins the posts that are due: whenever more become due, and whenever an answer makes room for one. */
  private postDue(): void {
    while (this.sent < this.due && this.post());
  }

  /** Begins a post; returns false where none can be begun now. */
  private post(): boolean {
    const feed = this.sent - this.acknowledged - this.failed < maxPosts ? this.pick() : undefined;
    if (!feed) return false;
    const { host, port, messageBytes } = this.options;
    const { agent, headers } = this;
    const number = feed.post();
    this.sent += 1;
    let fault: string | undefined = 'no answer';
    request({ agent, host, port, path: feed.path, method: 'POST', headers })
      .on('response', (response) => {
        fault = response.statusCode === 201 ? undefined : `answered with status ${response.statusCode}`;
        response.resume();
      })
      .on('error', ({ message }) => {
        fault &&= message;
      })
      .on('close', () => this.answer(feed, number, fault))
      .end(messageText(number, Math.round(performance.now() * 1000), feed.path, messageBytes));
    return true;
  }

  /** A random feed of those that are followed and have no post on its way; undefined where there is none. */
  private pick(): Feed | undefined {
    const { feeds } = this;
    const first = Math.floor(Math.random() * feeds.length);
    for (let n = 0; n < feeds.length; n += 1) {
      const feed = feeds[(first + n) % feeds.length] as Feed;
      if (feed.followers > 0 && !feed.isBusy) return feed;
    }
    return undefined;
  }

  private answer(feed: Feed, number: number, fault: string | undefined): void {
    // Posts that were given up still tell of their end.
    if (!feed.isBusy) return;
    feed.answer(number, fault === undefined);
    if (fault === undefined) {
      this.acknowledged += 1;
    } else {
      this.failed += 1;
      this.reasons.set(fault, (this.reasons.get(fault) ?? 0) + 1);
    }
    this.postDue();
  }
}
