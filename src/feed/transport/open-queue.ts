import type { Socket } from 'node:net';
import { Turns } from '../time/turns.js';

/** How many openings the pace is the average of. */
const averaged = 128;

/** The pace of a process that has opened nothing yet, in milliseconds an opening. */
const firstGapMs = 0.5;

/** How many turns of the event loop may go to clients that come, between two openings. */
const mostTurns = 8;

/** Opens a feed on a socket. */
type Open = (socket: Socket, bytes: Buffer) => void;

/**
 * Requests for feeds that have come and wait to be opened. A turn of the event loop opens one of them at most, so that open feeds keep
 * their pace, and Node accepts one socket in a turn: turns in which clients come open nothing, as long as there are not too many, so that
 * clients wait here, where the delay is known, and not in the kernel's queue, which drops them when it is full.
 */
export class OpenQueue {
  /** In the order in which they came, with the bytes that came. */
  private readonly waiting = new Map<Socket, Buffer>();
  private readonly turns = new Turns();
  private open: Open = () => {};
  /** The time between two openings while there are enough of them, in milliseconds. */
  private gapMs = firstGapMs;
  /** When the last one was opened while another waited, by `performance.now()`; 0 where none did. */
  private openedAt = 0;
  private isScheduled = false;
  /** Whether something has come in this turn of the event loop. */
  private hasCome = false;
  /** Turns since the last opening. */
  private turnsSince = 0;

  /** @param maxDelayMs how long a request may wait; Infinity for no bound */
  constructor(private readonly maxDelayMs: number) {}

  /** Has them opened by this from now on. */
  serve(open: Open): void {
    this.open = open;
  }

  /** Whether a request that comes now has to wait. Otherwise it is the one that is opened in this turn of the event loop. */
  get isBusy(): boolean {
    return this.isScheduled;
  }

  /** Whether a request that comes now would wait for too long. */
  get isFull(): boolean {
    return this.waiting.size * this.gapMs > this.maxDelayMs;
  }

  /** Seconds for the `Retry-After` of a request that is refused: the more there are, the later, and not all at once. */
  retryAfter(): number {
    return this.turns.retryAfter(this.gapMs);
  }

  /** A socket has come, or a request on it. */
  come(): void {
    this.hasCome = true;
  }

  /** A request is opened without having waited. */
  opened(): void {
    this.turnsSince = 0;
    this.schedule();
  }

  add(socket: Socket, bytes: Buffer): void {
    this.waiting.set(socket, bytes);
    this.schedule();
  }

  /** The socket is closed. */
  delete(socket: Socket): void {
    this.waiting.delete(socket);
  }

  private schedule(): void {
    if (this.isScheduled) return;
    this.isScheduled = true;
    setImmediate(endTurn, this);
  }

  /** @internal A turn of the event loop ends: what has come in it is known. */
  endTurn(): void {
    this.isScheduled = false;
    const { hasCome } = this;
    this.hasCome = false;
    const [next] = this.waiting;
    if (!next) {
      this.openedAt = 0;
      return;
    }
    this.schedule();
    this.turnsSince += 1;
    if (hasCome && this.turnsSince < mostTurns) return;
    this.turnsSince = 0;
    this.measure();
    this.waiting.delete(next[0]);
    this.open(...next);
  }

  private measure(): void {
    const now = performance.now();
    if (this.openedAt > 0) this.gapMs += (now - this.openedAt - this.gapMs) / averaged;
    this.openedAt = now;
  }
}

function endTurn(queue: OpenQueue) {
  queue.endTurn();
}
