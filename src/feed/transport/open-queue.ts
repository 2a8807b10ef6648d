import type { Socket } from 'node:net';
import { Turns } from '../time/turns.js';

/** How many openings the pace is the average of. */
const averaged = 128;

/** The pace of a process that has opened nothing yet, in milliseconds an opening. */
const firstGapMs = 0.5;

/** In how many turns of the event loop at the most something is opened. */
const mostTurns = 8;

/** How many times as long as expected a request may wait before it is refused after all: the process got slower meanwhile. */
const mostSlower = 2;

/** Opens feeds on sockets, or refuses to. */
interface Opener {
  /** @param bytes those that came on the socket */
  open(socket: Socket, bytes: Buffer): void;
  refuse(socket: Socket): void;
}

interface Waiting {
  readonly bytes: Buffer;
  /** By `performance.now()`. */
  readonly since: number;
}

/**
 * Requests for feeds that have come and wait to be opened: at the end of a turn of the event loop, one in a turn, so that open feeds keep their
 * pace. Node accepts one socket in a turn: turns in which one comes open nothing, as long as there are not too many, so that clients wait
 * here, where the delay is known, and not in the kernel's queue, which drops them when it is full.
 */
export class OpenQueue {
  /** In the order in which they came. */
  private readonly waiting = new Map<Socket, Waiting>();
  private readonly turns = new Turns();
  private opener: Opener | undefined = undefined;
  /** The time between two openings while there are enough of them, in milliseconds. */
  private gapMs = firstGapMs;
  /** When the last one was opened, or refused, while another waited, by `performance.now()`; 0 where none did. */
  private openedAt = 0;
  private isScheduled = false;
  /** Whether a socket has come in this turn of the event loop. */
  private hasCome = false;
  /** Turns without an opening, while something waits. */
  private turnsSince = 0;

  /** @param maxDelayMs how long a request may wait; Infinity for no bound */
  constructor(private readonly maxDelayMs: number) {}

  serve(opener: Opener): void {
    this.opener = opener;
  }

  /** Whether a request that comes now would wait for too long. A second one may always wait: the pace is measured between the two. */
  get isFull(): boolean {
    return this.waiting.size > 1 && this.waiting.size * this.gapMs > this.maxDelayMs;
  }

  /** Seconds for the `Retry-After` of a request that is refused: the more there are, the later, and not all at once. */
  retryAfter(): number {
    return this.turns.retryAfter(this.gapMs);
  }

  /** A socket has come. */
  come(): void {
    this.hasCome = true;
  }

  add(socket: Socket, bytes: Buffer): void {
    this.waiting.set(socket, { bytes, since: performance.now() });
    this.schedule();
  }

  /** Refuses all that wait. */
  close(): void {
    for (const socket of this.waiting.keys()) this.opener?.refuse(socket);
    this.waiting.clear();
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

  /** @internal A turn of the event loop ends: whether a socket has come in it is known. */
  endTurn(): void {
    const { hasCome } = this;
    this.isScheduled = false;
    this.hasCome = false;
    this.turnsSince += 1;
    if (!hasCome || this.turnsSince >= mostTurns) this.openNext();
    if (this.waiting.size > 0) this.schedule();
    else this.openedAt = 0;
  }

  private openNext(): void {
    const [next] = this.waiting;
    this.turnsSince = 0;
    if (!next) return;
    const [socket, { bytes, since }] = next;
    const now = performance.now();
    this.waiting.delete(socket);
    if (!socket.writable) return; // it was turned away meanwhile, for its descriptor
    const openedAt = this.openedAt;
    this.openedAt = now;
    if (now - since > this.maxDelayMs * mostSlower) {
      this.opener?.refuse(socket);
      return;
    }
    if (openedAt > 0) this.gapMs += (now - openedAt - this.gapMs) / averaged;
    this.opener?.open(socket, bytes);
  }
}

function endTurn(queue: OpenQueue) {
  queue.endTurn();
}
