import { Observable, Subject } from 'rxjs';

/** How exact the first tick is, and how many slots share a period, in milliseconds. */
const slotMs = 10;

/**
 * Ticks at a period: each subscriber first after `periodMs`, less up to 10 ms, then each period, without drift.
 *
 * One timer drives all subscribers, whatever their number: those that subscribed in the same 10 ms of a period share a
 * slot and tick together. RxJS's own `interval()` would cost each of them a timer. The timer does not keep the process alive.
 *
 * @param periodMs whole milliseconds, 1 or more
 */
export function ticks(periodMs: number): Observable<void> {
  return new Ticker(periodMs);
}

class Ticker extends Observable<void> {
  private readonly width: number;
  private readonly slots: number;
  /** Subscribers, by the slot in which they tick. */
  private readonly subjects = new Map<number, Subject<void>>();
  private timer: NodeJS.Timeout | undefined;
  /** The next slot to tick, counted from the process's start and never wrapped. */
  private next = 0;

  constructor(periodMs: number) {
    super((subscriber) => {
      const slot = this.now() % this.slots;
      let subject = this.subjects.get(slot);
      if (!subject) {
        subject = new Subject();
        this.subjects.set(slot, subject);
      }
      if (this.timer === undefined) {
        this.next = this.now() + 1;
        // A slot is found empty when its turn comes, up to a period after the last of all left: until then nothing may wait for the timer.
        this.timer = setInterval(() => this.tick(), this.width).unref();
      }
      return subject.subscribe(subscriber);
    });
    this.slots = Math.max(1, Math.floor(periodMs / slotMs));
    this.width = periodMs / this.slots;
  }

  private now(): number {
    return Math.floor(performance.now() / this.width);
  }

  /** Ticks every slot that is due: once, even if the process was blocked for several periods. */
  private tick(): void {
    const now = this.now();
    this.next = Math.max(this.next, now - this.slots + 1);
    for (; this.next <= now; this.next += 1) {
      const slot = this.next % this.slots;
      const subject = this.subjects.get(slot);
      if (subject?.observed) subject.next();
      else this.subjects.delete(slot);
    }
    if (this.subjects.size === 0) {
      clearInterval(this.timer);
      this.timer = undefined;
    }
  }
}
