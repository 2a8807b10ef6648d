import { setTimeout as sleep } from 'node:timers/promises';
import { filter, firstValueFrom, map, type ObservableInput } from 'rxjs';
import type { LeaseListener } from '../cluster/lease-claim.js';
import { BrokerUnavailableError, FeedEndedError, FeedPositionError } from '../errors/broker.errors.js';
import { failureOf } from '../errors/failure.js';
import { FeedException } from '../errors/feed-exception.js';
import { throwFeedException } from '../errors/to-feed-exception.js';
import { endType, type FeedEnd, failed } from '../message/end.js';
import type { FeedItem, StoredMessage } from '../message/message.js';
import type { MessagePublisher } from '../pubsub/message-publisher.js';
import { messagesOf } from '../pubsub/messages.js';
import type { Router } from '../pubsub/router.js';
import { backoff } from '../time/backoff.js';
import { type Producer, Run, type RunContext, retryDelays } from './run.js';
import type { RunOptions } from './run.options.js';

/** How long nodes wait at random before they take over from one that is gone, in milliseconds, so that mostly one tries. */
const takeOverMs = 500;
/** For how many more terms a run that can be restarted is left to the nodes that can. */
const restartShare = 2;
/** How long a shutdown waits for the ends of runs to be published, in milliseconds. */
const leaveMs = 1000;

/** What a node has learnt when it was asked to run a producer. */
export interface FeedRun {
  readonly feed: string;
  /**
   * The producer was `started` here; it had been already, here or on another node, and the call has `joined` it; or the feed has `ended`, also
   * where that, or `clear()`, was before the producer had returned its source.
   */
  readonly state: 'started' | 'joined' | 'ended';
  /** Resolves with how the feed ends; where it is cleared before, with how it ends after that. Rejects where the service is closed before. */
  whenEnded(): Promise<FeedEnd>;
}

/** The producers that outlive their clients: each runs once over all nodes, and ends its feed. */
export class Runs implements LeaseListener {
  private readonly running = new Map<string, Run>();
  /** Producers of runs of other nodes that could be restarted here. */
  private readonly joined = new Map<string, { readonly producer: Producer; readonly options: RunOptions }>();
  private readonly starting = new Map<string, Promise<FeedRun>>();
  /** How often leases have been told as expired. */
  private readonly expired = new Map<string, number>();
  private readonly takingOver = new Map<string, Promise<void>>();
  private isStopping = false;

  constructor(
    private readonly context: RunContext,
    private readonly publisher: MessagePublisher,
    private readonly router: Router,
    private readonly onFailed: (feed: string, error: unknown) => void,
  ) {}

  start(): void {
    this.context.leases.start(this);
  }

  /**
   * Starts a producer, unless one runs for the feed anywhere, or the feed has ended.
   *
   * @throws what the producer throws before it has returned a source; FeedException FEED_BROKER (503)
   */
  async run(feed: string, producer: Producer, options: RunOptions): Promise<FeedRun> {
    const starting = this.starting.get(feed);
    if (starting) return starting.then((run) => (run.state === 'started' ? this.described(feed, 'joined') : run));
    const begun = this.begin(feed, producer, options).catch(throwFeedException);
    this.starting.set(feed, begun);
    try {
      return await begun;
    } finally {
      if (this.starting.get(feed) === begun) this.starting.delete(feed);
    }
  }

  /**
   * Ends a feed, and its run on whichever node it is.
   *
   * @returns the feed's last message
   * @throws FeedException FEED_BROKER (503)
   */
  async end(feed: string, end: FeedEnd): Promise<StoredMessage> {
    const message = await this.publisher.end(feed, end);
    const { leases } = this.context;
    // Where it fails, it can be asked for again: the feed has its end.
    if (this.giveUp(feed, new FeedEndedError(feed))) await leases.release(feed);
    else if (leases.isTaken(feed) && !leases.holds(feed)) await leases.recall(feed).catch(throwFeedException);
    return message;
  }

  /**
   * Removes what is stored of a feed. Its run is over then, on whichever node it is: nothing of it comes into the feed's new beginning.
   *
   * @throws FeedException FEED_BROKER (503)
   */
  async clear(feed: string): Promise<void> {
    const { leases, broker } = this.context;
    const takingOver = this.running.has(feed) ? undefined : this.takingOver.get(feed);
    // It goes on for as long as the broker is unavailable.
    if (takingOver && broker.unavailableSince !== undefined) throw new FeedException('FEED_BROKER');
    await takingOver;
    if (this.giveUp(feed, new FeedEndedError(feed))) await leases.release(feed);
    else if (leases.isTaken(feed) && !leases.holds(feed)) await leases.free(feed).catch(throwFeedException);
    await this.publisher.clear(feed);
  }

  /** Ends all runs of this node: as failed, or so that another node restarts them. */
  async stop(): Promise<void> {
    this.isStopping = true;
    const ending = [...this.running.values()].map(async (run) => {
      run.giveUp(new Error('the service is shutting down'));
      if (run.options.onLost === 'restart') return;
      await this.publisher.end(run.feed, failed('The service has been shut down.'));
      await this.context.leases.release(run.feed);
    });
    await Promise.race([Promise.allSettled(ending), sleep(leaveMs, undefined, { ref: false })]);
    this.context.leases.stop();
  }

  onExpired(name: string, note: string | undefined): void {
    if (this.isStopping || this.takingOver.has(name)) return;
    const attempt = this.expired.get(name) ?? 0;
    const joined = this.joined.get(name);
    this.expired.set(name, attempt + 1);
    if (note === 'restart' && !joined && attempt < restartShare) return;
    const ended = this.takeOver(name, joined && note === 'restart' ? joined : undefined)
      .catch((error) => this.onFailed(name, error))
      .finally(() => {
        this.takingOver.delete(name);
        this.expired.delete(name);
      });
    this.takingOver.set(name, ended);
  }

  onReleased(name: string): void {
    this.joined.delete(name);
    this.expired.delete(name);
  }

  onRecalled(name: string): void {
    this.giveUp(name, new FeedEndedError(name));
  }

  onTaken(name: string): void {
    this.giveUp(name, new Error('another node has taken over the feed'));
  }

  /**
   * Has the run of a feed leave it to others, at once and whatever its producer still does: from then on it does not count any more.
   *
   * @returns whether there was one here
   */
  private giveUp(feed: string, reason: unknown): boolean {
    const run = this.running.get(feed);
    if (!run) return false;
    this.running.delete(feed);
    this.starting.delete(feed);
    run.giveUp(reason);
    return true;
  }

  private async begin(feed: string, producer: Producer, options: RunOptions): Promise<FeedRun> {
    const { leases } = this.context;
    if (this.running.has(feed)) return this.described(feed, 'joined');
    if ((await this.context.broker.read(feed, 'end', 0)).isEnded) return this.described(feed, 'ended');
    await this.takingOver.get(feed);
    if (this.running.has(feed)) return this.described(feed, 'joined');
    if (!(await leases.take(feed, options.onLost))) {
      if (options.onLost === 'restart') this.joined.set(feed, { producer, options });
      return this.described(feed, 'joined');
    }
    try {
      return await this.produce(feed, producer, options);
    } catch (error) {
      await leases.release(feed);
      throw error;
    }
  }

  /**
   * Only with the feed's lease, which it releases unless it throws. Where the lease is asked for meanwhile, nothing is begun.
   *
   * @throws what the producer throws; BrokerUnavailableError
   */
  private async produce(feed: string, producer: Producer, options: RunOptions): Promise<FeedRun> {
    const { leases, broker } = this.context;
    const { after, end, isEnded } = await broker.read(feed, 'end', 0);
    if (isEnded || !leases.holds(feed)) {
      await leases.release(feed);
      return this.described(feed, 'ended');
    }
    const run = new Run(this.context, feed, options, { epoch: after.epoch, offset: end });
    this.running.set(feed, run);
    try {
      const source = await run.begin(producer);
      if (run.isGivenUp) return this.described(feed, run.signal.reason instanceof FeedEndedError ? 'ended' : 'joined');
      void this.complete(run, source as ObservableInput<FeedItem>);
      return this.described(feed, 'started');
    } catch (error) {
      this.running.delete(feed); // it has not been given up
      throw error;
    }
  }

  private async complete(run: Run, source: ObservableInput<FeedItem>): Promise<void> {
    const { feed } = run;
    let end: FeedEnd = { reason: 'completed' };
    try {
      await run.publish(source);
    } catch (error) {
      // Ended, stopped, taken over or shut down: the end is not this run's to tell.
      if (error instanceof FeedEndedError || error instanceof FeedPositionError) run.giveUp(error);
      else run.stop(error);
      if (!run.isGivenUp) this.onFailed(feed, error);
      end = failed(failureOf(error).message);
    }
    await this.persist(feed, async () => run.isGivenUp || this.publisher.end(feed, end));
    if (this.isStopping || this.running.get(feed) !== run) return; // the lease may be the next one's
    this.running.delete(feed);
    await this.context.leases.release(feed);
  }

  /**
   * Takes over from a node that is gone. From the time on when the lease is this node's, it is renewed, and no other node hears that the feed
   * is left: so this one goes on until the feed is looked after.
   */
  private async takeOver(feed: string, joined: { producer: Producer; options: RunOptions } | undefined): Promise<void> {
    const { leases, broker } = this.context;
    await sleep(Math.random() * takeOverMs, undefined, { ref: false });
    // It may have been released, or taken for a run that has begun here, meanwhile.
    if (this.isStopping || !leases.isTaken(feed) || leases.holds(feed)) return;
    if (!(await leases.take(feed, joined?.options.onLost))) return;
    let restart = joined;
    let end = failed('The node that ran the producer of this feed is no longer available.');
    await this.persist(feed, async () => {
      const { after, end: last, isEnded } = await broker.read(feed, 'end', 0);
      if (isEnded) return leases.release(feed);
      if (!leases.holds(feed)) return;
      if (restart) {
        await broker.clear(feed, { epoch: after.epoch, offset: last });
        try {
          await this.produce(feed, restart.producer, restart.options);
          return;
        } catch (error) {
          if (error instanceof BrokerUnavailableError) throw error;
          this.onFailed(feed, error);
          end = failed(failureOf(error).message);
          restart = undefined;
        }
      }
      if (!leases.holds(feed)) return;
      await this.publisher.end(feed, end);
      await leases.release(feed);
    });
  }

  /**
   * Does what a feed needs of the node that has its lease: again, for as long as it has it, where the broker is unavailable, or others have
   * changed the feed meanwhile. A lease that is held for nothing would keep the feed from every other node, so it is released where nothing
   * helps.
   */
  private async persist(feed: string, work: () => Promise<unknown>): Promise<void> {
    const { leases } = this.context;
    for (let attempt = 0; !this.isStopping && leases.holds(feed); ) {
      try {
        await work();
        return;
      } catch (error) {
        if (error instanceof FeedPositionError) continue;
        if (attempt === 0) this.onFailed(feed, error);
        if (!isUnavailable(error)) return leases.release(feed);
        await sleep(backoff(attempt, retryDelays), undefined, { ref: false });
        attempt += 1;
      }
    }
  }

  private described(feed: string, state: FeedRun['state']): FeedRun {
    const ends = messagesOf(this.router, feed, 'end').pipe(
      filter(({ type }) => type === endType),
      map(({ data }) => data as FeedEnd),
    );
    return { feed, state, whenEnded: () => firstValueFrom(ends) };
  }
}

function isUnavailable(error: unknown): boolean {
  return error instanceof BrokerUnavailableError || (error instanceof FeedException && error.code === 'FEED_BROKER');
}
