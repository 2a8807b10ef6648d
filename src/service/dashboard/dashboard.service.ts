import { Injectable, Optional } from '@nestjs/common';
import { defer, exhaustMap, finalize, type Observable, share, timer } from 'rxjs';
import { FeedService } from '../../feed/feed.service.js';
import { ConnectionCounts, type ServiceCounts } from '../../health/connection-counts.js';
import { type Answers, Workers } from '../../health/workers.js';
import { DashboardOptions } from './dashboard.options.js';

/** How often the numbers are told, in milliseconds. */
const periodMs = 1000;
/** How many of the busiest feeds are shown, and how many each worker names: what is busy in all need not be in each. */
const shown = 10;
const named = 50;

export interface FeedNumbers {
  id: string;
  followers: number;
}

/** What a worker tells of itself. */
interface WorkerNumbers {
  number: number;
  open: number;
  rssBytes: number;
  delayMs: number;
  viewers: number;
  busiest: FeedNumbers[];
}

/** What the dashboard shows: counts since the start, from which the page makes its rates. */
export interface DashboardNumbers {
  /** In milliseconds since 1970. */
  time: number;
  counts: ServiceCounts;
  /** Connections of dashboards, which are open as well. */
  viewers: number;
  isDraining: boolean;
  /** `unavailableSince` in milliseconds since 1970. */
  broker: { name: string; unavailableSince?: number };
  /** null where their ids are not for anybody to know. */
  busiest: FeedNumbers[] | null;
  workers: Omit<WorkerNumbers, 'busiest' | 'viewers'>[];
  nodes: { name: string; open: number; feeds: number; messages: number; bufferedBytes: number }[];
}

/** The dashboard's numbers: made once a second for all who look, and not at all while nobody does. */
@Injectable()
export class DashboardService {
  private viewers = 0;
  private readonly shared = timer(0, periodMs).pipe(
    exhaustMap(() => this.now()),
    share(),
  );

  constructor(
    private readonly feeds: FeedService,
    private readonly counts: ConnectionCounts,
    private readonly options: DashboardOptions,
    @Optional() private readonly workers?: Workers,
  ) {
    workers?.answer('dashboard', () => this.worker());
  }

  get numbers$(): Observable<DashboardNumbers> {
    return defer(() => {
      this.viewers += 1;
      return this.shared.pipe(
        finalize(() => {
          this.viewers -= 1;
        }),
      );
    });
  }

  async now(): Promise<DashboardNumbers> {
    const [counts, workers] = await Promise.all([this.counts.service(), this.perWorker()]);
    return {
      time: Date.now(),
      counts,
      viewers: workers.reduce((sum, { viewers }) => sum + viewers, 0),
      isDraining: this.feeds.status.isDraining,
      broker: { name, unavailableSince },
      // Without a key anybody may look; where reading needs a token, not everybody may know which feeds there are.
      busiest: this.options.needsToken && this.options.key === undefined ? null : busiestOf(workers),
      workers: workers.map(({ number, open, rssBytes, delayMs }) => ({ number, open, rssBytes, delayMs })),
      nodes: this.feeds.cluster().map(({ name, open, feeds, messages, bufferedBytes }) => ({ name, open, feeds, messages, bufferedBytes })),
    };
  }

  private async perWorker(): Promise<WorkerNumbers[]> {
    if (!this.workers) return [this.worker()];
    const { answers }: Answers<WorkerNumbers> = await this.workers.ask<WorkerNumbers>('dashboard');
    return answers.map(({ answer }) => answer).sort((a, b) => a.number - b.number);
  }

  private worker(): WorkerNumbers {
    const { open, rssBytes, eventLoopDelayMs } = this.counts.worker();
    const { viewers } = this;
    return {
      number: this.workers?.number ?? 1,
      open,
      rssBytes,
      delayMs: eventLoopDelayMs.p99,
      viewers,
      busiest: this.feeds.busiest(named),
    };
  }
}

/** A feed has the followers that it has in each worker. */
function busiestOf(workers: WorkerNumbers[]): FeedNumbers[] {
  const followers = new Map<string, number>();
  for (const { busiest } of workers) for (const feed of busiest) followers.set(feed.id, (followers.get(feed.id) ?? 0) + feed.followers);
  const feeds = [...followers].map(([id, count]) => ({ id, followers: count }));
  return feeds.sort((a, b) => b.followers - a.followers).slice(0, shown);
}
