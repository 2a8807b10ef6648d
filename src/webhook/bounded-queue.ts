/** A queue that holds so many items and no more: the oldest makes room for one too many. */
export class BoundedQueue<T> {
  /** Written round and round, so that to drop the oldest of many costs no more than of few. It grows as it is first filled. */
  private readonly ring: (T | undefined)[] = [];
  private first = 0;
  private size = 0;

  constructor(private readonly capacity: number) {}

  get length(): number {
    return this.size;
  }

  /** @returns whether the oldest item was dropped for it */
  push(item: T): boolean {
    this.ring[(this.first + this.size) % this.capacity] = item;
    if (this.size < this.capacity) {
      this.size += 1;
      return false;
    }
    this.first = (this.first + 1) % this.capacity;
    return true;
  }

  /** Takes the oldest items out, `most` at most. */
  take(most: number): T[] {
    return Array.from({ length: Math.min(most, this.size) }, () => this.shift());
  }

  private shift(): T {
    const item = this.ring[this.first] as T;
    this.ring[this.first] = undefined;
    this.first = (this.first + 1) % this.capacity;
    this.size -= 1;
    return item;
  }
}
