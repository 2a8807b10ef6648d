interface Limited {
  /** By `performance.now()`. */
  readonly due: number;
  readonly expire: () => void;
}

/** Limits how long promises may take, all by the same time: one timer serves them, in the order in which they came. */
export class TimeLimit {
  private readonly waiting = new Set<Limited>();
  private timer: NodeJS.Timeout | undefined = undefined;

  /** @param isFinal whether a failure is passed on at once; the others when the time is up */
  constructor(
    private readonly limitMs: number,
    private readonly isFinal: (error: unknown) => boolean,
  ) {}

  /** Settles as the promise does, and fails when that takes too long. */
  run<T>(work: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      let failure: unknown = new Error(`no answer for ${this.limitMs} ms`);
      const limited = { due: performance.now() + this.limitMs, expire: () => reject(failure) };
      this.waiting.add(limited);
      this.schedule();
      work.then(
        (value) => {
          this.waiting.delete(limited);
          resolve(value);
        },
        (error) => {
          failure = error;
          if (!this.isFinal(error)) return;
          this.waiting.delete(limited);
          reject(error);
        },
      );
    });
  }

  private schedule(): void {
    if (this.timer !== undefined) return;
    const [first] = this.waiting; // it passes over all that have been deleted since the last time
    if (!first) return;
    // What is waited for keeps the process alive by its connection.
    this.timer = setTimeout(() => this.expire(), first.due - performance.now()).unref();
  }

  private expire(): void {
    this.timer = undefined;
    const now = performance.now();
    for (const limited of this.waiting) {
      if (limited.due > now) break;
      this.waiting.delete(limited);
      limited.expire();
    }
    this.schedule();
  }
}
