import { Cursor } from './cursor.js';
import { FeedClientError } from './errors.js';
import type { ResolvedOptions } from './options.js';
import { isAfter, isPosition, positionOf } from './position.js';
import { Status } from './status.js';
import { type Line, MuteError, poll, stream, TokenError, type Watch } from './stream.js';
import type { FeedClientMessage, Subscription } from './subscription.js';

/** Where streams are held back: how long the first poll waits, and the next ones, in seconds, and when a stream is tried again, in milliseconds. */
const [firstPollSeconds, pollSeconds, pollingMs] = [1, 25, 600_000];

/** Where subscriptions get their messages from. */
export interface Source {
  readonly status: Status;
  join(subscription: Subscription): void;
  leave(subscription: Subscription): void;
  /** Where it is on a feed that is followed, as `since` says it. */
  at(feed: string): string;
  /** Looks whether the connection is still there, or makes a new one. */
  look(isNew: boolean): void;
  /** Gives up the connection, until `resume()`. */
  suspend(): void;
  resume(): void;
  close(): void;
}

/** Told of what comes on the connection of all feeds. */
export interface Tap {
  next(message: FeedClientMessage, isLive: boolean): void;
  mark(position: string, feeds: readonly string[]): void;
  end(feed: string): void;
  fail(feed: string, error: unknown): void;
}

/** What the outcome of a request means for the next one. */
interface Verdict {
  /** The delay before it, in milliseconds; undefined where there is none, because the server refuses. */
  readonly delayMs: number | undefined;
  /** The feed that is refused; undefined for all of them. */
  readonly feed?: string | undefined;
  readonly isFailed?: boolean;
}

/** Holds one connection for all feeds that are followed, reconnects, and says where everything goes on. */
export class Hub implements Source {
  private readonly feeds = new Map<string, Set<Subscription>>();
  private readonly joining: Subscription[] = [];
  private isRunning = false;
  private isJoining = false;
  private isClosed = false;
  /** The feeds of the present request; none while there is none. */
  private open: readonly string[] = [];
  private isLive = false;
  private attempts = 0;
  private restart: AbortController | undefined = undefined;
  private watch: Watch | undefined = undefined;
  private skipWait: (() => void) | undefined = undefined;
  private pollUntil = 0;
  private nextMs: number | undefined = undefined;

  constructor(
    private readonly options: ResolvedOptions,
    private readonly ready: () => Promise<void> | undefined,
    readonly status = new Status(),
    private readonly cursor = new Cursor(),
    private readonly tap?: Tap,
    private readonly gatherMs = 0,
  ) {}

  join(subscription: Subscription): void {
    const { feed, since } = subscription;
    const others = this.feeds.get(feed);
    if (!others) {
      this.feeds.set(feed, new Set([subscription]));
      this.cursor.begin(feed, since);
      subscription.release(isPosition(since) ? since : undefined);
      this.reopen();
      return;
    }
    others.add(subscription);
    if (this.fits(feed, since)) subscription.release(isPosition(since) ? since : undefined);
    else {
      subscription.isCatchingUp = true;
      subscription.hold();
      this.joining.push(subscription);
      void this.catchUp();
    }
  }

  leave(subscription: Subscription): void {
    const { feed } = subscription;
    const all = this.feeds.get(feed);
    if (!all?.delete(subscription)) return;
    subscription.isCatchingUp = false;
    if (all.size === 0) this.drop(feed);
  }

  close(): void {
    this.isClosed = true;
    this.feeds.clear();
    this.joining.length = 0;
    this.reopen();
  }

  at(feed: string): string {
    return this.cursor.of(feed);
  }

  /** The browser ends the connection of a page that is left. */
  suspend(): void {}

  resume(): void {
    this.look(true);
  }

  look(isNew: boolean): void {
    this.watch?.look();
    if (isNew && !this.watch?.signal.aborted) this.restart?.abort();
    this.skipWait?.();
  }

  /** Whether a subscription can begin with what comes on the connection. */
  private fits(feed: string, since = 'new'): boolean {
    const at = this.cursor.of(feed);
    const isOpen = this.open.includes(feed);
    if (isPosition(since) && isPosition(at)) {
      if (!isAfter(positionOf(at), positionOf(since))) return true;
      if (!isOpen) this.cursor.begin(feed, since);
      return !isOpen;
    }
    return isOpen ? this.isLive && since === 'latest' : since === at;
  }

  /** Asks anew for what is followed now. What is called in one turn makes one request. */
  private reopen(): void {
    if (this.isRunning) {
      this.open = [];
      this.restart?.abort();
      if (this.feeds.size === 0) this.skipWait?.();
    } else if (!this.isClosed) void this.run();
  }

  private async run(): Promise<void> {
    this.isRunning = true;
    await pause(this.gatherMs);
    while (this.feeds.size > 0) {
      const restart = new AbortController();
      this.restart = restart;
      this.open = [...this.feeds.keys()];
      this.isLive = false;
      this.nextMs = undefined;
      const isPolling = Date.now() < this.pollUntil;
      if (!isPolling || this.status.value.state !== 'live') this.status.set({ state: 'connecting' });
      const openedAt = Date.now();
      let verdict: Verdict;
      let failure: unknown;
      try {
        if (isPolling) await this.poll(this.open, restart.signal);
        else await this.stream(this.open, restart.signal);
        verdict = { delayMs: isPolling ? 0 : (this.nextMs ?? this.backoff(0)) };
      } catch (error) {
        failure = error;
        verdict = restart.signal.aborted ? { delayMs: 0 } : this.judge(error);
      }
      if (this.isLive && Date.now() - openedAt > this.options.retry.minMs) this.attempts = 0;
      this.open = [];
      this.isLive = false;
      this.watch = undefined;
      if (restart.signal.aborted) {
        await pause(0); // others may follow in the same turn
        continue;
      }
      if (verdict.delayMs === undefined) this.refuse(verdict.feed, failure);
      else if (verdict.delayMs > 0 && this.feeds.size > 0) await this.wait(verdict, failure);
    }
    this.isRunning = false;
    const { state } = this.status.value;
    if (this.isClosed || (state !== 'failed' && state !== 'ended')) this.status.set({ state: 'idle' });
  }

  private async stream(feeds: readonly string[], signal: AbortSignal): Promise<void> {
    const { cursor, options, ready } = this;
    const isOver = await stream(options, {
      ...{ feeds, since: cursor.since(feeds), signal, ready },
      onLine: (line) => this.take(line, feeds),
      onWatch: (watch) => {
        this.watch = watch;
      },
    });
    if (isOver) for (const feed of feeds) this.end(feed);
  }

  private take(line: Line, feeds: readonly string[]): void {
    if ('data' in line) this.deliver({ ...line, feed: line.feed ?? feeds[0] } as FeedClientMessage);
    else if (line.heartbeatMs !== undefined) {
      for (const feed of line.ended ?? []) this.end(feed);
      if (line.position === undefined) this.goLive('stream'); // a source: there is nothing to catch up with
    } else if (line.position !== undefined) {
      this.mark(line.position, feeds);
      this.goLive('stream');
    } else if (line.retry !== undefined) this.nextMs = line.retry;
    else if (line.error) throw new FeedClientError(line.error.message, line.error);
  }

  private async poll(feeds: readonly string[], signal: AbortSignal): Promise<void> {
    const { cursor, options } = this;
    const onWatch = (watch: Watch) => {
      this.watch = watch;
    };
    const waitSeconds = this.status.value.state === 'live' ? pollSeconds : firstPollSeconds;
    const asked = { feeds, since: cursor.since(feeds), signal, onWatch };
    const { messages, position, reset, ended } = await poll(options, asked, waitSeconds);
    if (reset) for (const feed of feeds) this.deliver({ feed, type: 'reset', data: { feed, oldest: null } });
    for (const message of messages) this.deliver(message);
    this.mark(position, feeds);
    this.goLive('poll');
    if (ended) for (const feed of feeds) this.end(feed);
    await this.ready();
  }

  private goLive(transport: 'stream' | 'poll'): void {
    this.isLive = true;
    const { value } = this.status;
    if (value.state !== 'live' || value.transport !== transport) this.status.set({ state: 'live', transport });
  }

  private deliver(message: FeedClientMessage): void {
    const { feed, id, type } = message;
    if (id !== undefined) this.cursor.move(feed, id, this.isLive);
    this.tap?.next(message, this.isLive);
    for (const subscription of this.feeds.get(feed) ?? []) subscription.next(message);
    if (type === 'end') this.end(feed);
  }

  private mark(position: string, feeds: readonly string[]): void {
    this.cursor.mark(position, feeds);
    this.tap?.mark(position, feeds);
  }

  /** A feed has ended: those who follow it have what it had. */
  private end(feed: string): void {
    const all = this.feeds.get(feed);
    this.feeds.delete(feed);
    this.cursor.forget(feed);
    this.tap?.end(feed);
    if (this.feeds.size === 0) this.status.set({ state: 'ended' });
    for (const subscription of all ?? []) subscription.end();
  }

  private drop(feed: string): void {
    this.feeds.delete(feed);
    this.cursor.forget(feed);
    this.reopen();
  }

  private refuse(feed: string | undefined, error: unknown): void {
    const refused = feed !== undefined && this.feeds.has(feed) ? [feed] : [...this.feeds.keys()];
    if (refused.length === this.feeds.size) this.status.set({ state: 'failed', error });
    for (const name of refused) {
      const all = this.feeds.get(name);
      this.feeds.delete(name);
      this.cursor.forget(name);
      this.tap?.fail(name, error);
      for (const subscription of all ?? []) subscription.fail(error);
    }
  }

  private judge(error: unknown): Verdict {
    const { hasTokens } = this.options;
    this.attempts += 1;
    if (error instanceof TokenError) return { delayMs: this.backoff(), isFailed: true };
    if (error instanceof MuteError) {
      this.pollUntil = Date.now() + pollingMs;
      return { delayMs: 0 };
    }
    const { status = 0, feed, retryAfterMs } = error as Partial<FeedClientError>;
    if (status === 401 && hasTokens) return { delayMs: this.attempts === 1 ? 0 : this.backoff(), isFailed: true };
    if (status >= 400 && status < 500 && ![408, 425, 429].includes(status)) return { delayMs: undefined, feed };
    return { delayMs: retryAfterMs === undefined ? this.backoff() : retryAfterMs * (1 + Math.random() / 2) };
  }

  private backoff(attempts = this.attempts - 1): number {
    const { minMs, maxMs } = this.options.retry;
    return Math.min(maxMs, minMs * 2 ** attempts) * (0.5 + Math.random() / 2);
  }

  private async wait({ delayMs = 0, isFailed }: Verdict, failure: unknown): Promise<void> {
    const error = failure instanceof TokenError ? failure.cause : failure;
    const until = Date.now() + delayMs;
    this.status.set(isFailed ? { state: 'failed', error, until } : { state: 'waiting', error, until });
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, delayMs);
      this.skipWait = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.skipWait = undefined;
  }

  /** Has subscriptions that begin elsewhere catch up, one after the other, on a connection of their own. */
  private async catchUp(): Promise<void> {
    if (this.isJoining) return;
    this.isJoining = true;
    for (let next = this.joining.shift(); next; next = this.joining.shift()) {
      for (let attempts = 0; next.isCatchingUp; attempts += 1) {
        try {
          await this.replay(next);
        } catch (error) {
          const { status = 0 } = error as Partial<FeedClientError>;
          if (status >= 400 && status < 500 && status !== 401 && status !== 429) {
            this.feeds.get(next.feed)?.delete(next);
            next.isCatchingUp = false;
            next.fail(error);
          } else await pause(this.backoff(attempts));
        }
      }
    }
    this.isJoining = false;
  }

  private async replay(subscription: Subscription): Promise<void> {
    const { feed, since } = subscription;
    const leaving = new AbortController();
    const release = (position?: string) => {
      subscription.release(position);
      leaving.abort();
    };
    const onLine = (line: Line) => {
      if (!subscription.isCatchingUp) leaving.abort();
      else if ('data' in line) {
        subscription.replay({ ...line, feed: line.feed ?? feed } as FeedClientMessage);
        if (line.type !== 'end') return;
        release();
        subscription.end();
      } else if (line.position !== undefined && line.heartbeatMs === undefined) release(line.position);
    };
    const starts = since === undefined ? [] : [isPosition(since) ? positionOf(since) : since];
    try {
      const { options, ready } = this;
      if (!(await stream(options, { feeds: [feed], since: starts, signal: leaving.signal, onLine, ready }))) return;
      release();
      subscription.end();
    } catch (error) {
      if (subscription.isCatchingUp) throw error;
    }
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
