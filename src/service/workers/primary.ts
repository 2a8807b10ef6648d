import cluster from 'node:cluster';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Started, WorkerMessage } from './messages.js';
import { WorkerProcess, type WorkerProcessListener } from './worker-process.js';
import { WorkerQueries } from './worker-queries.js';

/** How long workers may take to exit once their shutdown is over, in milliseconds. */
const exitMs = 900;

interface PrimaryOptions {
  /** The number of workers. */
  count: number;
  /** What is added to the environment of a worker, by its number, from 1 on. */
  env(number: number): NodeJS.ProcessEnv;
  /** The longest that a worker's shutdown takes, in milliseconds. */
  shutdownMs: number;
  /** Gets a line when a worker has exited unexpectedly. */
  log(line: string): void;
}

/** The workers could not be started. */
export class WorkersStartError extends Error {
  override readonly name = 'WorkersStartError';
  readonly code = 'WORKERS_START';
}

/** Keeps a number of workers running that serve one port. This process serves no requests itself. */
export class Primary implements WorkerProcessListener {
  private readonly workers: readonly WorkerProcess[];
  private readonly queries: WorkerQueries;
  private readonly failures = new Map<WorkerProcess, string>();
  private readonly starting: Set<WorkerProcess>;
  private state: 'new' | 'starting' | 'serving' | 'ending' = 'new';
  private onStarted: (started: Started) => void = () => {};
  private onFailed: (error: Error) => void = () => {};

  constructor(private readonly options: PrimaryOptions) {
    this.workers = Array.from({ length: options.count }, (_, n) => new WorkerProcess(n + 1, options.env(n + 1), this));
    this.starting = new Set(this.workers);
    this.queries = new WorkerQueries(() => this.workers.filter(({ isListening }) => isListening));
  }

  /**
   * Starts the workers.
   *
   * @returns the report of the last one, once all listen
   * @throws WorkersStartError with the reason of the first one that failed; the others are killed
   */
  start(): Promise<Started> {
    this.state = 'starting';
    // Workers accept by themselves, each within its own limit: a primary that accepts for them holds descriptors without one.
    cluster.schedulingPolicy = cluster.SCHED_NONE;
    return new Promise((resolve, reject) => {
      this.onStarted = resolve;
      this.onFailed = reject;
      for (const worker of this.workers) worker.start();
    });
  }

  /**
   * Has all workers drain and exit. One that does not listen yet, or takes too long, is killed.
   *
   * @returns whether all exited in time
   */
  async drain(): Promise<boolean> {
    this.state = 'ending';
    const exited = Promise.all(this.workers.map((worker) => worker.drain()));
    const isInTime = await Promise.race([exited.then(() => true), sleep(this.options.shutdownMs + exitMs, false, { ref: false })]);
    this.kill();
    await exited;
    return isInTime;
  }

  /** Kills all workers. */
  kill(): void {
    this.state = 'ending';
    for (const worker of this.workers) worker.kill();
  }

  onMessage(worker: WorkerProcess, message: WorkerMessage): void {
    switch (message.type) {
      case 'started':
        this.starting.delete(worker);
        if (this.state === 'starting' && this.starting.size === 0) {
          this.state = 'serving';
          this.onStarted(message.started);
        }
        this.share();
        return;
      case 'failed':
        this.failures.set(worker, message.reason);
        return;
      case 'ready':
        worker.isReady = message.isReady;
        this.share();
        return;
      case 'leave':
        if (this.state !== 'serving') return;
        worker.isReady = false;
        this.share();
        void worker.drain();
        return;
      case 'query':
        void this.query(worker, message);
        return;
      case 'response':
        this.queries.onResponse(worker.pid, message.request, message.value);
    }
  }

  onExit(worker: WorkerProcess, pid: number, cause: string): void {
    this.queries.onExit(pid);
    const reason = this.failures.get(worker);
    this.failures.delete(worker);
    switch (this.state) {
      case 'starting':
        this.kill();
        this.onFailed(new WorkersStartError(reason ?? `worker ${worker.number} (pid ${pid}) ${cause} before all workers listened`));
        return;
      case 'serving': {
        this.share();
        const seconds = (worker.restart() / 1000).toFixed(1);
        this.options.log(`worker ${worker.number} (pid ${pid}) ${cause}${reason ? `: ${reason}` : ''}; restarting it in ${seconds} s`);
      }
    }
  }

  /** Has workers without room leave new connections to the others. Where none has room, all accept, and reject what they accept. */
  private share(): void {
    if (this.state !== 'serving') return;
    const serving = this.workers.filter(({ isListening, isDraining }) => isListening && !isDraining);
    const hasRoom = serving.some(({ isReady }) => isReady);
    for (const worker of serving) if (worker.isReady) worker.accept(true);
    for (const worker of serving) if (!worker.isReady) worker.accept(!hasRoom);
    // One that drains never accepts again.
    if (hasRoom) for (const worker of this.workers) if (worker.isDraining) worker.accept(false);
  }

  private async query(worker: WorkerProcess, { id, query }: Extract<WorkerMessage, { type: 'query' }>): Promise<void> {
    const { pid } = worker;
    const result = await this.queries.query(query);
    if (worker.pid === pid) worker.send({ type: 'result', id, result });
  }
}
