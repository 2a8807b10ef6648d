import type { Answers } from '../../health/workers.js';
import type { Question } from './messages.js';

/** How long a worker may take to answer, in milliseconds. */
const patienceMs = 1000;

/** A worker that can be asked. */
export interface Asked {
  readonly pid: number;
  ask(round: number, question: Question): void;
}

type Result = Promise<Answers<unknown>>;

/** All workers are asked once. */
class WorkerQuery {
  readonly result: Result;
  private readonly answers = new Map<number, unknown>();
  private readonly waiting: Set<number>;
  private readonly timer: NodeJS.Timeout;
  private resolve: (answers: Answers<unknown>) => void = () => {};

  constructor(pids: number[], patience: number) {
    this.waiting = new Set(pids);
    this.result = new Promise((resolve) => {
      this.resolve = resolve;
    });
    this.timer = setTimeout(() => this.end(), patience);
    this.endIfComplete();
  }

  answered(pid: number, answer: unknown): void {
    if (!this.waiting.delete(pid)) return;
    this.answers.set(pid, answer);
    this.endIfComplete();
  }

  gone(pid: number): void {
    if (this.waiting.delete(pid)) this.endIfComplete();
  }

  private endIfComplete(): void {
    if (this.waiting.size === 0) this.end();
  }

  private end(): void {
    clearTimeout(this.timer);
    this.resolve({ answers: [...this.answers].map(([pid, answer]) => ({ pid, answer })), missing: [...this.waiting] });
    this.waiting.clear();
  }
}

/**
 * Asks all workers for any of them. Whoever asks while the same is being asked gets the answers of the next round: those of this one may
 * be older than the question. However many ask, a worker has each question once at a time.
 */
export class WorkerQueries {
  private readonly rounds = new Map<number, WorkerQuery>();
  private readonly running = new Map<string, { result: Result; next?: Result }>();
  private count = 0;

  /** @param workers all that can be asked at the moment */
  constructor(
    private readonly workers: () => Asked[],
    private readonly patience = patienceMs,
  ) {}

  ask(question: Question): Result {
    const key = JSON.stringify([question.name, question.about]);
    const running = this.running.get(key);
    if (!running) return this.run(key, question);
    running.next ??= running.result.then(() => this.run(key, question));
    return running.next;
  }

  answered(pid: number, round: number, answer: unknown): void {
    this.rounds.get(round)?.answered(pid, answer);
  }

  /** A worker that has ended is not waited for. */
  gone(pid: number): void {
    for (const round of this.rounds.values()) round.gone(pid);
  }

  private run(key: string, question: Question): Result {
    const asked = this.workers();
    this.count += 1;
    const id = this.count;
    const round = new WorkerQuery(
      asked.map(({ pid }) => pid),
      this.patience,
    );
    const running: { result: Result; next?: Result } = { result: round.result };
    this.rounds.set(id, round);
    this.running.set(key, running);
    void round.result.then(() => {
      this.rounds.delete(id);
      if (!running.next) this.running.delete(key);
    });
    for (const worker of asked) worker.ask(id, question);
    return round.result;
  }
}
