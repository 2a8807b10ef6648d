import { Logger } from '@nestjs/common';
import { type Answers, Workers } from '../../health/workers.js';
import type { FromPrimary, FromWorker, Question, Started } from './messages.js';

/** The worker's side: tells the primary how it fares, and asks the other workers through it. */
export class WorkerLink extends Workers {
  private readonly logger = new Logger(WorkerLink.name);
  private readonly hows = new Map<string, (about?: string) => unknown>();
  private readonly asked = new Map<number, (answers: Answers<never>) => void>();
  private count = 0;
  private drain = () => {};
  /** Resolves when this worker is to end its feeds and itself. */
  readonly drained = new Promise<void>((resolve) => {
    this.drain = resolve;
  });

  constructor(readonly number: number) {
    super();
    process.on('message', (message: FromPrimary) => this.onMessage(message));
  }

  started(started: Started): void {
    send({ type: 'started', started });
  }

  /** Resolves when it has been told. */
  failed(reason: string): Promise<void> {
    return new Promise((resolve) => send({ type: 'failed', reason }, resolve));
  }

  answer(question: string, how: (about?: string) => unknown): void {
    this.hows.set(question, how);
  }

  ask<T>(name: string, about?: string): Promise<Answers<T>> {
    this.count += 1;
    const id = this.count;
    send({ type: 'ask', id, question: { name, about } });
    return new Promise<Answers<T>>((resolve) => this.asked.set(id, resolve));
  }

  private onMessage(message: FromPrimary): void {
    switch (message.type) {
      case 'drain':
        this.drain();
        return;
      case 'question':
        void this.answerTo(message.round, message.question);
        return;
      case 'answers':
        this.asked.get(message.id)?.(message.answers as Answers<never>);
        this.asked.delete(message.id);
    }
  }

  private async answerTo(round: number, { name, about }: Question): Promise<void> {
    try {
      send({ type: 'answer', round, answer: await this.hows.get(name)?.(about) });
    } catch (error) {
      this.logger.error(`The question "${name}" has no answer: ${(error as Error).stack}`);
    }
  }
}

/** What cannot be sent need not be: without its primary a worker ends. */
function send(message: FromWorker, onSent: () => void = () => {}): void {
  process.send?.(message, undefined, undefined, onSent);
}
