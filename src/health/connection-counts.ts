import { Injectable, Optional } from '@nestjs/common';
import { FeedService } from '../feed/feed.service.js';
import { type FeedCount, type FeedCounts, sumOf } from '../feed/stats/counts.js';
import { type ProcessCounts, ProcessHealth } from './process-health.js';
import { type Answers, Workers } from './workers.js';

/** Which processes answered, where several serve one port. */
export interface Answered {
  workers?: {
    /** The ids of those that are counted. */
    pids: number[];
    /** The ids of those that are not, since they did not answer within a second. */
    missing: number[];
  };
}

/** The counts of one process. */
export type WorkerCounts = { pid: number } & FeedCounts & ProcessCounts;

/** The counts of all processes that serve one port: sums, and the worst of the event loops' delays. */
export type ServiceCounts = FeedCounts & ProcessCounts & Answered;

/** The counts of all processes that share a broker: sums, and what each has told. */
export type ClusterCounts = FeedCounts & { nodes: ReturnType<FeedService['cluster']> };

/** Counts connections: those of this process, and those of others. */
@Injectable()
export class ConnectionCounts {
  constructor(
    private readonly feeds: FeedService,
    private readonly process: ProcessHealth,
    @Optional() private readonly workers?: Workers,
  ) {
    workers?.answer('counts', () => this.own());
    workers?.answer('count', (id = '') => feeds.count(id));
  }

  worker(): WorkerCounts {
    return { pid: process.pid, ...this.own() };
  }

  async service(): Promise<ServiceCounts> {
    if (!this.workers) return this.own();
    const answered = await this.workers.ask<FeedCounts & ProcessCounts>('counts');
    const all = answered.answers.map(({ answer }) => answer);
    const delays = all.map(({ eventLoopDelayMs }) => eventLoopDelayMs);
    return {
      ...sumOf(all),
      rssBytes: sum(all.map(({ rssBytes }) => rssBytes)),
      eventLoopDelayMs: { p50: Math.max(0, ...delays.map(({ p50 }) => p50)), p99: Math.max(0, ...delays.map(({ p99 }) => p99)) },
      ...workersOf(answered),
    };
  }

  cluster(): ClusterCounts {
    const nodes = this.feeds.cluster();
    return { ...sumOf(nodes), nodes };
  }

  /** Counts of one feed in this process. */
  workerFeed(id: string): FeedCount & { pid: number } {
    return { ...this.feeds.count(id), pid: process.pid };
  }

  /** Counts of one feed in all processes that serve one port. */
  async serviceFeed(id: string): Promise<FeedCount & Answered> {
    if (!this.workers) return this.feeds.count(id);
    const answered = await this.workers.ask<FeedCount>('count', id);
    const all = answered.answers.map(({ answer }) => answer);
    return {
      id,
      open: sum(all.map(({ open }) => open)),
      bufferedBytes: sum(all.map(({ bufferedBytes }) => bufferedBytes)),
      ...workersOf(answered),
    };
  }

  private own(): FeedCounts & ProcessCounts {
    return { ...this.feeds.counts(), ...this.process.counts() };
  }
}

function workersOf({ answers, missing }: Answers<unknown>): Answered {
  return { workers: { pids: answers.map(({ pid }) => pid), missing } };
}

function sum(numbers: number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
