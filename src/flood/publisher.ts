import { Agent, request } from 'node:http';
import { Durations } from './durations.js';
import type { Feed } from './feed.js';
import { messageText } from './numbered-line.js';
import type { ResolvedFloodOptions } from './options.js';
import { pause } from './pause.js';
import type { PublishReport } from './report.js';
import { type Sequence, sumFaults } from './sequence.js';

/** The most pending posts, and sockets for them: posts to an unresponsive server must not pile up. */
export const maxPosts = 32;

/** The longest interval at which due posts are sent, in milliseconds. */
const maxStepMs = 10;

/** How long after the flood's duration late posts are still sent, in milliseconds. */
const latePostMs = 1000;

/** How long to wait for the last responses and deliveries, in milliseconds. */
const settleMs = 5000;

/** When an idle socket is closed, in milliseconds: before the server closes it (Node's default: 5000), which could fail a post. */
const idleMs = 2000;

/** Posts numbered messages to feeds that have followers, and measures their delivery. */
export class Publisher {
  /** Deliveries so far: a message counts once for each follower that got it. */
  delivered = 0;
  private readonly agent = new Agent({ keepAlive: true, maxSockets: maxPosts, timeout: idleMs });
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

  /** Posts at the rate for the flood's duration, then waits for pending responses and deliveries. */
  async run(signal: AbortSignal | undefined): Promise<void> {
    const { rate, feeds } = this;
    const { duration, timeout } = this.options;
    const until = async (isDone: () => boolean, ms: number) => {
      const deadline = performance.now() + Math.min(ms, timeout * 1000);
      while (!isDone() && performance.now() < deadline && !signal?.aborted) await pause(maxStepMs, signal);
    };
    const startedAt = performance.now();
    let seconds = 0;
    while (seconds < duration && !signal?.aborted) {
      await pause(Math.min(maxStepMs, 1000 / rate), signal);
      seconds = Math.min(duration, (performance.now() - startedAt) / 1000);
      this.due = Math.ceil(seconds * rate);
      this.postDue();
    }
    this.perSecond = seconds > 0 ? this.sent / seconds : 0;
    await until(() => this.sent === this.due, latePostMs);
    this.unsent = this.due - this.sent;
    this.due = this.sent; // no further posts
    await until(() => feeds.every(({ isSettled }) => isSettled), settleMs);
    for (const feed of feeds) this.end(feed, feed.last, 'no response');
    this.agent.destroy();
  }

  /** A follower got a message that was sent at `micros`; `isLast` if it was the last follower to get it. */
  receive(micros: number, isLast: boolean): void {
    const ms = performance.now() - micros / 1000;
    this.delivered += 1;
    this.latency.record(ms);
    if (isLast) this.last.record(ms);
  }

  /** @param received the messages that each follower got */
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

  /** Sends the posts that are due: called when more are due, and when a response makes room for one. */
  private postDue(): void {
    while (this.sent < this.due && this.post());
  }

  /** Sends a post. Returns false if none can be sent now. */
  private post(): boolean {
    const feed = this.sent - this.acknowledged - this.failed < maxPosts ? this.pick() : undefined;
    if (!feed) return false;
    const { host, port, messageBytes } = this.options;
    const { agent, headers } = this;
    const number = feed.post();
    this.sent += 1;
    let fault: string | undefined = 'no response';
    request({ agent, host, port, path: feed.path, method: 'POST', headers })
      .on('response', (response) => {
        fault = response.statusCode === 201 ? undefined : `response status ${response.statusCode}`;
        response.resume();
      })
      .on('error', ({ message }) => {
        fault &&= message;
      })
      .on('close', () => this.end(feed, number, fault))
      .end(messageText(number, Math.round(performance.now() * 1000), feed.path, messageBytes));
    return true;
  }

  /** A random feed with followers and without a pending post, if there is one. */
  private pick(): Feed | undefined {
    const { feeds } = this;
    const first = Math.floor(Math.random() * feeds.length);
    for (let n = 0; n < feeds.length; n += 1) {
      const feed = feeds[(first + n) % feeds.length] as Feed;
      if (feed.followers > 0 && !feed.isBusy) return feed;
    }
    return undefined;
  }

  private end(feed: Feed, number: number, fault: string | undefined): void {
    // A post that timed out ends a second time.
    if (!feed.isBusy) return;
    feed.respond(number, fault === undefined);
    if (fault === undefined) {
      this.acknowledged += 1;
    } else {
      this.failed += 1;
      this.reasons.set(fault, (this.reasons.get(fault) ?? 0) + 1);
    }
    this.postDue();
  }
}
