/** How many reasons of one outage are told at most: an engine with many addresses may have one for each. */
const mostTold = 10;

/** Since when an engine is away, and why: told when it begins, once for each further reason, and when it is over. */
export class Outage {
  /** In milliseconds since 1970; undefined while the engine is there. A broker begins without one. */
  since: number | undefined = Date.now();
  /** The last reason; undefined while the engine is there, and as long as nothing has gone wrong. */
  reason: string | undefined = undefined;
  private readonly told = new Set<string>();

  /**
   * @param engine its name, at the beginning of a sentence
   * @param log told in a sentence each
   */
  constructor(
    private readonly engine: string,
    private readonly log: (message: string) => void,
  ) {}

  /** The engine has gone away, or is still away. */
  note(reason: string): void {
    this.since ??= Date.now();
    this.reason = reason;
    if (this.told.has(reason) || this.told.size === mostTold) return;
    this.told.add(reason);
    this.log(`${this.engine} is away: ${reason}`);
  }

  /** The engine is there. */
  end(): void {
    this.since = undefined;
    this.reason = undefined;
    if (this.told.size > 0) this.log(`${this.engine} is back.`);
    this.told.clear();
  }
}
