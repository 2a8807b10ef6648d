/** Lets a few pieces of work run at a time; the others wait for their turn, in the order in which they came. */
export class Turns {
  private running = 0;
  private readonly waiting: { readonly go: () => void; readonly fail: (cause: Error) => void }[] = [];

  constructor(private readonly most: number) {}

  /** Resolves, or fails, as the work does. */
  async take<T>(work: () => Promise<T>): Promise<T> {
    if (this.running < this.most) this.running += 1;
    else await new Promise<void>((go, fail) => this.waiting.push({ go, fail }));
    try {
      return await work();
    } finally {
      // Whoever is next gets this one's place.
      const next = this.waiting.shift();
      if (next) next.go();
      else this.running -= 1;
    }
  }

  /** Fails those that wait. */
  fail(cause: Error): void {
    for (const { fail } of this.waiting.splice(0)) fail(cause);
  }
}
