import type { WorkerResponses } from '../../health/workers.js';
import type { Query } from './messages.js';

/** How long a worker has to respond, in milliseconds. */
const responseTimeoutMs = 1000;

/** A worker that can be queried. */
export interface Queryable {
  readonly pid: number;
  /** @param request identifies the query in the worker's response */
  request(request: number, query: Query): void;
}

type Result = Promise<WorkerResponses<unknown>>;

/** One query to all workers: collects their responses until all have responded or exited, or the timeout. */
class WorkerQuery {
  readonly result: Result;
  private readonly responses = new Map<number, unknown>();
  private readonly pending: Set<number>;
  private readonly timer: NodeJS.Timeout;
  private resolve: (result: WorkerResponses<unknown>) => void = () => {};

  constructor(pids: number[], timeoutMs: number) {
    this.pending = new Set(pids);
    this.result = new Promise((resolve) => {
      this.resolve = resolve;
    });
    this.timer = setTimeout(() => this.end(), timeoutMs);
    this.endIfComplete();
  }

  onResponse(pid: number, value: unknown): void {
    if (!this.pending.delete(pid)) return;
    this.responses.set(pid, value);
    this.endIfComplete();
  }

  onExit(pid: number): void {
    if (this.pending.delete(pid)) this.endIfComplete();
  }

  private endIfComplete(): void {
    if (this.pending.size === 0) this.end();
  }

  private end(): void {
    clearTimeout(this.timer);
    this.resolve({ responses: [...this.responses].map(([pid, value]) => ({ pid, value })), missing: [...this.pending] });
    this.pending.clear();
  }
}

/**
 * Queries all workers on behalf of any of them. A query that is made while the same one is running gets the result of the next run, since
 * the responses of the current one may be older than the query. So a worker handles each query once at a time, however many callers there are.
 */
export class WorkerQueries {
  private readonly running = new Map<number, WorkerQuery>();
  private readonly results = new Map<string, { current: Result; next?: Result }>();
  private lastRequest = 0;

  /** @param workers the workers that can be queried at the moment */
  constructor(
    private readonly workers: () => Queryable[],
    private readonly timeoutMs = responseTimeoutMs,
  ) {}

  query(query: Query): Result {
    const key = JSON.stringify([query.name, query.argument]);
    const results = this.results.get(key);
    if (!results) return this.run(key, query);
    results.next ??= results.current.then(() => this.run(key, query));
    return results.next;
  }

  onResponse(pid: number, request: number, value: unknown): void {
    this.running.get(request)?.onResponse(pid, value);
  }

  /** A worker that has exited is not waited for. */
  onExit(pid: number): void {
    for (const query of this.running.values()) query.onExit(pid);
  }

  private run(key: string, query: Query): Result {
    const workers = this.workers();
    this.lastRequest += 1;
    const request = this.lastRequest;
    const pids = workers.map(({ pid }) => pid);
    const running = new WorkerQuery(pids, this.timeoutMs);
    const results: { current: Result; next?: Result } = { current: running.result };
    this.running.set(request, running);
    this.results.set(key, results);
    void running.result.then(() => {
      this.running.delete(request);
      if (!results.next) this.results.delete(key);
    });
    for (const worker of workers) worker.request(request, query);
    return running.result;
  }
}
