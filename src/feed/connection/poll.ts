import type { ServerResponse } from 'node:http';
import { ndjson } from '../format/ndjson.js';
import type { Client } from '../limits/admission.js';
import type { EndReason } from '../stats/end-reason.js';
import { Connection, type ConnectionContext } from './connection.js';
import { Encoder } from './encoder.js';
import type { EndNotice } from './end-notice.js';

/** What a poll answers is read from history: it sends no frame. */
const unused = new Encoder(ndjson);

/**
 * A connection that waits with its head until there is something to answer with. It has no transport: its feeds only wake it, and what it
 * answers with is read from history.
 */
export class Poll extends Connection {
  /** Whether something was published since the last look. */
  private hasNews = false;
  private wake: (() => void) | undefined = undefined;

  constructor(context: ConnectionContext, number: number, feeds: readonly string[], client: Client) {
    super(context, number, feeds, unused, client);
    this.queue = undefined;
  }

  override get isOpen(): boolean {
    return this.openedAt > 0;
  }

  /** Waits from now on: for as long as this at most, and until its client leaves. */
  begin(response: ServerResponse, waitMs: number): void {
    const { keepAlive } = this.context;
    this.openedAt = Math.round(performance.now());
    this.lastBeat = keepAlive.beatAfter(waitMs);
    response.on('close', () => this.onClose());
    this.context.onOpened(this);
  }

  /** Resolves when something may have been published since the last call, and when the wait is over. */
  async news(): Promise<void> {
    if (!this.hasNews && this.reason === undefined) {
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    }
    this.hasNews = false;
  }

  override deliver(): void {
    this.notify();
  }

  override deliverNewest(): void {
    this.notify();
  }

  override deliverEnd(): void {
    this.notify();
  }

  override end(reason?: EndReason, notice?: EndNotice): void {
    super.end(reason, notice);
    this.notify();
  }

  override onClose(): void {
    super.onClose();
    this.notify();
  }

  private notify(): void {
    this.hasNews = true;
    this.wake?.();
  }
}
