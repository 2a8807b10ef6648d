import { Injectable, Optional } from '@nestjs/common';
import { FeedService } from '../feed/feed.service.js';
import { type FeedCount, type FeedCounts, sumOf } from '../feed/stats/counts.js';
import { type ProcessCounts, ProcessHealth } from './process-health.js';
import { type WorkerResponses, Workers } from './workers.js';

/** Where several workers serve one port: which of them the counts include. */
export interface CountedWorkers {
  workers?: {
    /** The process ids of the workers that are included. */
    pids: number[];
    /** The process ids of the workers that are left out, since they did not respond within a second. */
    missing: number[];
  };
}

/** The counts of one process. */
export type WorkerCounts = { pid: number } & FeedCounts & ProcessCounts;

/** The counts of all workers that serve one port: sums, and the highest of their event loop delays. */
export type ServiceCounts = FeedCounts & ProcessCounts & CountedWorkers;

/** The counts of all nodes that share a broker: sums, and the counts of each node. */
export type ClusterCounts = FeedCounts & Awaited<ReturnType<FeedService['cluster']>>;

/** How many follow a feed on all nodes that share a broker. */
export interface ClusterFeedCount {
  id: string;
  open: number;
  /** Different subjects among their tokens. */
  users: number;
  nodes: { name: string; open: number }[];
  /** The names of the nodes that have not answered within a second. */
  missing: readonly string[];
}

/** Counts the connections of this worker, of all workers that serve its port, and of all nodes that share its broker. */
@Injectable()
export class ConnectionCounts {
  constructor(
    private readonly feeds: FeedService,
    private readonly process: ProcessHealth,
    @Optional() private readonly workers?: Workers,
  ) {
    workers?.handle('counts', () => this.own());
    workers?.handle('count', (id = '') => feeds.count(id));
  }

  worker(): WorkerCounts {
    return { pid: process.pid, ...this.own() };
  }

  async service(): Promise<ServiceCounts> {
    if (!this.workers) return this.own();
    const result = await this.workers.query<FeedCounts & ProcessCounts>('counts');
    const all = result.responses.map(({ value }) => value);
    const delays = all.map(({ eventLoopDelayMs }) => eventLoopDelayMs);
    return {
      ...sumOf(all),
      rssBytes: sum(all.map(({ rssBytes }) => rssBytes)),
      eventLoopDelayMs: { p50: Math.max(0, ...delays.map(({ p50 }) => p50)), p99: Math.max(0, ...delays.map(({ p99 }) => p99)) },
      ...workersOf(result),
    };
  }

  async cluster(): Promise<ClusterCounts> {
    const { nodes, missing } = await this.feeds.cluster();
    return { ...sumOf(nodes), nodes, missing };
  }

  /** Who follows one feed, in numbers, on all nodes. */
  async clusterFeed(id: string): Promise<ClusterFeedCount> {
    const { connections, users, nodes, missing } = await this.feeds.occupancy(id);
    return { id, open: connections, users, nodes: nodes.map(({ name, connections: open }) => ({ name, open })), missing };
  }

  /** Counts one feed in this process. */
  workerFeed(id: string): FeedCount & { pid: number } {
    return { ...this.feeds.count(id), pid: process.pid };
  }

  /** Counts one feed in all workers that serve one port. */
  async serviceFeed(id: string): Promise<FeedCount & CountedWorkers> {
    if (!this.workers) return this.feeds.count(id);
    const result = await this.workers.query<FeedCount>('count', id);
    const all = result.responses.map(({ value }) => value);
    return {
      id,
      open: sum(all.map(({ open }) => open)),
      bufferedBytes: sum(all.map(({ bufferedBytes }) => bufferedBytes)),
      ...workersOf(result),
    };
  }

  private own(): FeedCounts & ProcessCounts {
    return { ...this.feeds.counts(), ...this.process.counts() };
  }
}

function workersOf({ responses, missing }: WorkerResponses<unknown>): CountedWorkers {
  return { workers: { pids: responses.map(({ pid }) => pid), missing } };
}

function sum(numbers: number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
