/** How many names are stored before the expired ones among them are looked for. */
const fewNames = 1000;

/** Names, each until a time in milliseconds since 1970. */
export class MemoryNames {
  private readonly times = new Map<string, number>();
  /** How many names are stored when the expired ones are dropped next. */
  private fullAt = fewNames;

  /** Adds a name, until the later time where it is there already. */
  add(name: string, until: number): void {
    this.times.set(name, Math.max(until, this.times.get(name) ?? 0));
    if (this.times.size < this.fullAt) return;
    this.dropExpired();
    this.fullAt = Math.max(fewNames, 2 * this.times.size);
  }

  /** A copy of those that have not expired. */
  all(): Map<string, number> {
    this.dropExpired();
    return new Map(this.times);
  }

  clear(): void {
    this.times.clear();
  }

  private dropExpired(): void {
    const now = Date.now();
    for (const [name, until] of this.times) if (until <= now) this.times.delete(name);
  }
}
