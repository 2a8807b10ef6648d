/** What waits for its turn. */
interface Waiting<Item, Result> {
  readonly item: Item;
  resolve(result: Result): void;
  reject(error: unknown): void;
}

/** How much is done at once. */
interface BatchBounds {
  /** Items of a batch. */
  readonly items: number;
  /** Batches under way at a time. */
  readonly batches: number;
}

/**
 * Does what is asked for in batches, few at a time, in the order in which it was asked for. A server paces them by its answers: the longer
 * it takes, the more is in a batch, and the less it is asked.
 */
export class Batches<Item, Result> {
  private waiting: Waiting<Item, Result>[] = [];
  private underWay = 0;
  private isScheduled = false;

  /** @param work resolves with a result for each item; undefined for one that found no room and comes first next time. The first one must */
  constructor(
    private readonly bounds: BatchBounds,
    private readonly work: (items: readonly Item[]) => Promise<readonly (Result | undefined)[]>,
  ) {}

  /** Has an item done in the next batch that begins: not before this turn of the event loop ends, so that others may come with it. */
  add(item: Item): Promise<Result> {
    return new Promise((resolve, reject) => {
      this.waiting.push({ item, resolve, reject });
      this.schedule();
    });
  }

  private schedule(): void {
    if (this.isScheduled || this.underWay === this.bounds.batches) return;
    this.isScheduled = true;
    setImmediate(() => {
      this.isScheduled = false;
      while (this.waiting.length > 0 && this.underWay < this.bounds.batches) void this.begin();
    });
  }

  private async begin(): Promise<void> {
    const batch = this.waiting.splice(0, this.bounds.items);
    this.underWay += 1;
    try {
      const results = await this.work(batch.map(({ item }) => item));
      const left = batch.filter(({ resolve }, n) => {
        const result = results[n];
        if (result !== undefined) resolve(result);
        return result === undefined;
      });
      if (left.length > 0) this.waiting = [...left, ...this.waiting];
    } catch (error) {
      for (const { reject } of batch) reject(error);
    }
    this.underWay -= 1;
    if (this.waiting.length > 0) this.schedule();
  }
}
