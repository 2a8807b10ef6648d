import { Injectable, Optional } from '@nestjs/common';
import { defer, exhaustMap, finalize, type Observable, share, timer } from 'rxjs';
import { FeedService } from '../../feed/feed.service.js';
import { ConnectionCounts, type ServiceCounts } from '../../health/connection-counts.js';
import { Workers } from '../../health/workers.js';
import { DashboardOptions } from './dashboard.options.js';

/** The interval of the numbers, in milliseconds. */
const intervalMs = 1000;
/** How many feeds the dashboard shows, and how many each worker reports: a feed that is busy overall need not be in each worker. */
const shownFeeds = 10;
const reportedFeeds = 50;

interface FeedNumbers {
  id: string;
  subscribers: number;
}

/** What each worker reports. */
interface WorkerNumbers {
  number: number;
  open: number;
  rssBytes: number;
  delayMs: number;
  viewers: number;
  busiest: FeedNumbers[];
}

/** What the dashboard shows: counts since the start, from which the page computes its rates. */
export interface DashboardNumbers {
  /** In milliseconds since 1970. */
  time: number;
  counts: ServiceCounts;
  /** Connections of dashboards, which are included in the open ones. */
  viewers: number;
  isDraining: boolean;
  /** `unavailableSince` in milliseconds since 1970. */
  broker: { name: string; unavailableSince?: number };
  /** null where the ids of feeds are not public. */
  busiest: FeedNumbers[] | null;
  workers: Omit<WorkerNumbers, 'busiest' | 'viewers'>[];
  nodes: { name: string; open: number; feeds: number; messages: number; bufferedBytes: number }[];
}

/** The dashboard's numbers: collected once a second for all viewers together, and not at all without viewers. */
@Injectable()
export class DashboardService {
  private viewers = 0;
  private readonly shared = timer(0, intervalMs).pipe(
    exhaustMap(() => this.now()),
    share(),
  );

  constructor(
    private readonly feeds: FeedService,
    private readonly counts: ConnectionCounts,
    private readonly options: DashboardOptions,
    @Optional() private readonly workers?: Workers,
  ) {
    workers?.handle('dashboard', () => this.worker());
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
    const [counts, workers, cluster] = await Promise.all([this.counts.service(), this.perWorker(), this.feeds.cluster()]);
    const { key, needsToken } = this.options;
    const { isDraining, broker } = this.feeds.status;
    return {
      time: Date.now(),
      counts,
      viewers: workers.reduce((sum, { viewers }) => sum + viewers, 0),
      isDraining,
      broker: { name: broker.name, unavailableSince: broker.unavailableSince },
      // Without a key the dashboard is public, and where reading needs a token, the ids of feeds are not.
      busiest: needsToken && key === undefined ? null : busiestOf(workers),
      workers: workers.map(({ number, open, rssBytes, delayMs }) => ({ number, open, rssBytes, delayMs })),
      nodes: cluster.nodes.map(({ name, open, feeds, messages, bufferedBytes }) => ({ name, open, feeds, messages, bufferedBytes })),
    };
  }

  private async perWorker(): Promise<WorkerNumbers[]> {
    if (!this.workers) return [this.worker()];
    const { responses } = await this.workers.query<WorkerNumbers>('dashboard');
    return responses.map(({ value }) => value).sort((a, b) => a.number - b.number);
  }

  private worker(): WorkerNumbers {
    const { open, rssBytes, eventLoopDelayMs } = this.counts.worker();
    return {
      number: this.workers?.number ?? 1,
      open,
      rssBytes,
      delayMs: eventLoopDelayMs.p99,
      viewers: this.viewers,
      busiest: this.feeds.busiest(reportedFeeds),
    };
  }
}

/** Adds up the subscribers that each feed has in the workers. */
function busiestOf(workers: WorkerNumbers[]): FeedNumbers[] {
  const subscribers = new Map<string, number>();
  for (const { busiest } of workers)
    for (const feed of busiest) subscribers.set(feed.id, (subscribers.get(feed.id) ?? 0) + feed.subscribers);
  const feeds = [...subscribers].map(([id, count]) => ({ id, subscribers: count }));
  return feeds.sort((a, b) => b.subscribers - a.subscribers).slice(0, shownFeeds);
}
