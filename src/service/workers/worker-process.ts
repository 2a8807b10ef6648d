import cluster, { type Worker } from 'node:cluster';
import { once } from 'node:events';
import { backoff } from '../../feed/time/backoff.js';
import type { PrimaryMessage, Query, WorkerMessage } from './messages.js';
import type { Queryable } from './worker-queries.js';

/** The bounds of the delay before a worker that exited is replaced. */
const restartDelay = { minMs: 200, maxMs: 30_000 };
/** A worker that ran for this long was stable: its exit is not counted as one more failure in a row. In milliseconds. */
const stableMs = 30_000;

/** Gets the messages of a worker process, and its exit. */
export interface WorkerProcessListener {
  onMessage(worker: WorkerProcess, message: WorkerMessage): void;
  /** Called once the process has exited and all of its messages have been delivered. */
  onExit(worker: WorkerProcess, pid: number, cause: string): void;
}

/** A numbered worker: the process that runs as it now, and its replacements. */
export class WorkerProcess implements Queryable {
  private worker: Worker | undefined;
  private startedAt = 0;
  private failures = 0;
  private restartTimer: NodeJS.Timeout | undefined;
  private exited: Promise<void> = Promise.resolve();
  /** Whether the worker serves and responds to queries. */
  isListening = false;
  /** Whether it has room for new connections. */
  isReady = true;
  /** Whether it ends its connections, and then itself. */
  isDraining = false;
  /** Whether it accepts new connections. */
  private isAccepting = true;

  /**
   * @param number from 1 on
   * @param env added to the environment of the primary
   */
  constructor(
    readonly number: number,
    private readonly env: NodeJS.ProcessEnv,
    private readonly listener: WorkerProcessListener,
  ) {}

  get pid(): number {
    return this.worker?.process.pid ?? 0;
  }

  start(): void {
    this.startedAt = performance.now();
    try {
      this.attach(cluster.fork(this.env));
    } catch (error) {
      this.exit(0, `could not be forked: ${(error as Error).message}`); // the machine is short of a resource
    }
  }

  /**
   * Starts a replacement after a delay.
   *
   * @returns the delay in milliseconds
   */
  restart(): number {
    if (performance.now() - this.startedAt >= stableMs) this.failures = 0;
    const delay = backoff(this.failures, restartDelay);
    this.failures += 1;
    this.restartTimer = setTimeout(() => this.start(), delay);
    return delay;
  }

  send(message: PrimaryMessage): void {
    // A failure to send is ignored: the process has exited, which `onExit()` reports.
    this.worker?.send(message, () => {});
  }

  request(request: number, query: Query): void {
    this.send({ type: 'request', request, query });
  }

  /** Has the worker accept connections, or leave them to the others. */
  accept(isOn: boolean): void {
    if (isOn === this.isAccepting) return;
    this.isAccepting = isOn;
    this.send({ type: 'accept', isOn });
  }

  /** Has the worker drain and exit; one that does not listen yet is killed. Resolves when it has exited. */
  async drain(): Promise<void> {
    clearTimeout(this.restartTimer);
    this.isDraining = this.isListening;
    if (this.isListening) this.send({ type: 'drain' });
    else this.kill();
    await this.exited;
  }

  kill(): void {
    clearTimeout(this.restartTimer);
    this.worker?.process.kill('SIGKILL');
  }

  private attach(worker: Worker): void {
    const { pid = 0 } = worker.process;
    this.worker = worker;
    worker.on('message', (message: WorkerMessage) => {
      // Sent before the worker gets its first connection.
      if (message.type === 'started') this.isListening = true;
      this.listener.onMessage(this, message);
    });
    // Messages that were on their way at the exit are delivered before `disconnect`.
    this.exited = Promise.all([once(worker, 'exit'), once(worker, 'disconnect')]).then(
      ([[code, signal]]) => this.exit(pid, signal ? `was killed by ${signal}` : `exited with code ${code}`),
      (error: Error) => this.exit(pid, `failed: ${error.message}`),
    );
  }

  private exit(pid: number, cause: string): void {
    this.worker = undefined;
    this.isListening = false;
    this.isReady = true;
    this.isDraining = false;
    this.isAccepting = true;
    this.listener.onExit(this, pid, cause);
  }
}
