/** A queue of bounded length: when it is full, the oldest item is dropped for a new one. */
export class BoundedQueue<T> {
  /** A ring buffer, so that dropping the oldest item takes constant time. It grows until it is first full. */
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

  /** Removes and returns the oldest items, up to `count` of them. */
  take(count: number): T[] {
    return Array.from({ length: Math.min(count, this.size) }, () => this.shift());
  }

  private shift(): T {
    const item = this.ring[this.first] as T;
    this.ring[this.first] = undefined;
    this.first = (this.first + 1) % this.capacity;
    this.size -= 1;
    return item;
  }
}
