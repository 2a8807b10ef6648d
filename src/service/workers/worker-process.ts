import cluster, { type Worker } from 'node:cluster';
import { once } from 'node:events';
import type { FromPrimary, FromWorker, Question } from './messages.js';
import { Pauses } from './pauses.js';
import type { Asked } from './worker-queries.js';

/** Told what becomes of a slot's workers. */
export interface WorkerOwner {
  onMessage(slot: WorkerProcess, message: FromWorker): void;
  /** The worker has ended, and all that it said has been heard. */
  onEnded(slot: WorkerProcess, pid: number, how: string): void;
}

/** The place of one worker: its number, and who has it at the moment. */
export class WorkerProcess implements Asked {
  private worker: Worker | undefined;
  private begun = 0;
  private timer: NodeJS.Timeout | undefined;
  private readonly pauses = new Pauses();
  private over: Promise<void> = Promise.resolve();
  /** Whether the worker can be reached by clients, and asked. */
  isListening = false;

  /**
   * @param number from 1 on
   * @param env what its workers have in their environment beside the primary's
   */
  constructor(
    readonly number: number,
    private readonly env: NodeJS.ProcessEnv,
    private readonly owner: WorkerOwner,
  ) {}

  get pid(): number {
    return this.worker?.process.pid ?? 0;
  }

  start(): void {
    this.begun = performance.now();
    try {
      this.watch(cluster.fork(this.env));
    } catch (error) {
      this.end(0, `could not be forked: ${(error as Error).message}`); // the machine is short of something
    }
  }

  /**
   * Starts another worker after a pause.
   *
   * @returns the pause in milliseconds
   */
  restart(): number {
    const pause = this.pauses.after(performance.now() - this.begun);
    this.timer = setTimeout(() => this.start(), pause);
    return pause;
  }

  send(message: FromPrimary): void {
    // One that has just ended cannot be told anything; that it has, is told elsewhere.
    this.worker?.send(message, () => {});
  }

  ask(round: number, question: Question): void {
    this.send({ type: 'question', round, question });
  }

  /** Has the worker end its feeds and then itself; one that has none is ended at once. Resolves when it has. */
  async drain(): Promise<void> {
    clearTimeout(this.timer);
    if (this.isListening) this.send({ type: 'drain' });
    else this.kill();
    await this.over;
  }

  kill(): void {
    clearTimeout(this.timer);
    this.worker?.process.kill('SIGKILL');
  }

  private watch(worker: Worker): void {
    const { pid = 0 } = worker.process;
    this.worker = worker;
    worker.on('message', (message: FromWorker) => this.owner.onMessage(this, message));
    // Told before the worker gets its first connection.
    worker.once('listening', () => {
      this.isListening = true;
    });
    // The messages that were under way when it ended come before `disconnect`.
    this.over = Promise.all([once(worker, 'exit'), once(worker, 'disconnect')]).then(
      ([[code, signal]]) => this.end(pid, signal ? `was killed by ${signal}` : `ended with ${code}`),
      (error: Error) => this.end(pid, `failed: ${error.message}`),
    );
  }

  private end(pid: number, how: string): void {
    this.worker = undefined;
    this.isListening = false;
    this.owner.onEnded(this, pid, how);
  }
}
