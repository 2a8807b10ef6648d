import { Logger } from '@nestjs/common';
import { type WorkerResponses, Workers } from '../../health/workers.js';
import type { Acceptance } from './acceptance.js';
import type { PrimaryMessage, Query, Started, WorkerMessage } from './messages.js';

/** How often a worker looks whether it has room, in milliseconds. */
const lookMs = 100;
/** For how many looks it must have room again before it says so: that some clients leave is not yet room for many others. */
const settledLooks = 100;

/** What a worker accepts connections with, and whether it has room for new ones. */
export interface Accepting {
  readonly acceptance: Acceptance;
  isReady(): boolean;
}

/** A worker's side of the channel to the primary: reports its state, and queries the other workers through it. */
export class WorkerLink extends Workers {
  private readonly logger = new Logger(WorkerLink.name);
  private readonly handlers = new Map<string, (argument?: string) => unknown>();
  private readonly pending = new Map<number, (result: WorkerResponses<never>) => void>();
  private lastId = 0;
  private acceptance: Acceptance | undefined;
  /** Resolves once the last pause is done. */
  private paused: Promise<void> = Promise.resolve();
  private drain = () => {};
  /** Resolves when the primary asks this worker to drain and exit. */
  readonly drained = new Promise<void>((resolve) => {
    this.drain = resolve;
  }).then(() => this.paused);

  constructor(readonly number: number) {
    super();
    process.on('message', (message: PrimaryMessage) => this.onMessage(message));
  }

  /** Reports that the worker listens, and from now on whether it has room. */
  started(started: Started, { acceptance, isReady }: Accepting): void {
    this.acceptance = acceptance;
    send({ type: 'started', started });
    let wasReady = true;
    let otherLooks = 0;
    setInterval(() => {
      otherLooks = isReady() === wasReady ? 0 : otherLooks + 1;
      if (otherLooks < (wasReady ? 1 : settledLooks)) return;
      otherLooks = 0;
      wasReady = !wasReady;
      send({ type: 'ready', isReady: wasReady });
    }, lookMs).unref();
  }

  /** Asks to be drained. */
  leave(): void {
    send({ type: 'leave' });
  }

  /** Resolves when the message has been sent. */
  failed(reason: string): Promise<void> {
    return new Promise((resolve) => send({ type: 'failed', reason }, resolve));
  }

  handle(query: string, handler: (argument?: string) => unknown): void {
    this.handlers.set(query, handler);
  }

  query<T>(name: string, argument?: string): Promise<WorkerResponses<T>> {
    this.lastId += 1;
    const id = this.lastId;
    send({ type: 'query', id, query: { name, argument } });
    return new Promise<WorkerResponses<T>>((resolve) => this.pending.set(id, resolve));
  }

  private onMessage(message: PrimaryMessage): void {
    switch (message.type) {
      case 'drain':
        this.drain();
        return;
      case 'accept':
        if (message.isOn) this.acceptance?.resume();
        else this.paused = this.acceptance?.pause() ?? this.paused;
        return;
      case 'request':
        void this.respond(message.request, message.query);
        return;
      case 'result':
        this.pending.get(message.id)?.(message.result as WorkerResponses<never>);
        this.pending.delete(message.id);
    }
  }

  private async respond(request: number, { name, argument }: Query): Promise<void> {
    try {
      send({ type: 'response', request, value: await this.handlers.get(name)?.(argument) });
    } catch (error) {
      this.logger.error(`The handler of the query "${name}" failed: ${(error as Error).stack}`);
    }
  }
}

/** A failure to send is ignored: a worker that has lost its primary exits anyway. */
function send(message: WorkerMessage, onSent: () => void = () => {}): void {
  process.send?.(message, undefined, undefined, onSent);
}
