import { setTimeout as sleep } from 'node:timers/promises';
import type { FromWorker, Started } from './messages.js';
import { type WorkerOwner, WorkerProcess } from './worker-process.js';
import { WorkerQueries } from './worker-queries.js';

/** How long workers may take to exit, beyond what they need for their feeds, in milliseconds. */
const graceMs = 900;

export interface PrimaryOptions {
  /** How many. */
  workers: number;
  /** What a worker has in its environment beside the primary's, by its number, from 1 on. */
  env(number: number): NodeJS.ProcessEnv;
  /** The longest that a worker takes to end its feeds and what belongs to them, in milliseconds. */
  shutdownMs: number;
  /** Told, in a line, when a worker has ended that should not have. */
  tell(line: string): void;
}

/** The workers could not be started. */
export class WorkersStartError extends Error {
  override readonly name = 'WorkersStartError';
  readonly code = 'WORKERS_START';
}

/** Keeps a number of workers running that serve one port. It serves nothing itself. */
export class Primary implements WorkerOwner {
  private readonly slots: readonly WorkerProcess[];
  private readonly rounds: WorkerQueries;
  private readonly reasons = new Map<WorkerProcess, string>();
  private readonly waiting: Set<WorkerProcess>;
  private state: 'new' | 'starting' | 'serving' | 'ending' = 'new';
  private onStarted: (started: Started) => void = () => {};
  private onFailed: (error: Error) => void = () => {};

  constructor(private readonly options: PrimaryOptions) {
    this.slots = Array.from({ length: options.workers }, (_, n) => new WorkerProcess(n + 1, options.env(n + 1), this));
    this.waiting = new Set(this.slots);
    this.rounds = new WorkerQueries(() => this.slots.filter(({ isListening }) => isListening));
  }

  /**
   * Starts the workers.
   *
   * @returns what the last of them told, once all listen
   * @throws WorkersStartError with what the first said that failed; the others are killed
   */
  start(): Promise<Started> {
    this.state = 'starting';
    return new Promise((resolve, reject) => {
      this.onStarted = resolve;
      this.onFailed = reject;
      for (const slot of this.slots) slot.start();
    });
  }

  /**
   * Has all workers end their feeds and then themselves. One that has not listened yet, or takes too long, is killed.
   *
   * @returns whether none took too long
   */
  async drain(): Promise<boolean> {
    this.state = 'ending';
    const drained = Promise.all(this.slots.map((slot) => slot.drain()));
    const isOrderly = await Promise.race([drained.then(() => true), sleep(this.options.shutdownMs + graceMs, false, { ref: false })]);
    this.kill();
    await drained;
    return isOrderly;
  }

  /** Ends all workers at once. */
  kill(): void {
    this.state = 'ending';
    for (const slot of this.slots) slot.kill();
  }

  onMessage(slot: WorkerProcess, message: FromWorker): void {
    switch (message.type) {
      case 'started':
        this.waiting.delete(slot);
        if (this.state !== 'starting' || this.waiting.size > 0) return;
        this.state = 'serving';
        this.onStarted(message.started);
        return;
      case 'failed':
        this.reasons.set(slot, message.reason);
        return;
      case 'ask':
        void this.ask(slot, message);
        return;
      case 'answer':
        this.rounds.answered(slot.pid, message.round, message.answer);
    }
  }

  onEnded(slot: WorkerProcess, pid: number, how: string): void {
    this.rounds.gone(pid);
    const reason = this.reasons.get(slot);
    this.reasons.delete(slot);
    switch (this.state) {
      case 'starting':
        this.kill();
        this.onFailed(new WorkersStartError(reason ?? `worker ${slot.number} (pid ${pid}) ${how} before all workers listened`));
        return;
      case 'serving': {
        const seconds = (slot.restart() / 1000).toFixed(1);
        this.options.tell(`worker ${slot.number} (pid ${pid}) ${how}${reason ? `: ${reason}` : ''}; another starts in ${seconds} s`);
      }
    }
  }

  private async ask(slot: WorkerProcess, { id, question }: Extract<FromWorker, { type: 'ask' }>): Promise<void> {
    const { pid } = slot;
    const answers = await this.rounds.ask(question);
    if (slot.pid === pid) slot.send({ type: 'answers', id, answers });
  }
}
