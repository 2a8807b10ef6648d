/** How many reasons of one outage are logged at most: a server with many addresses may have one for each. */
const maxReasons = 10;

/** Since when a broker's server is unavailable, and why. Logs the beginning of an outage, each further reason once, and its end. */
export class Outage {
  /** In milliseconds since 1970; undefined while the server is available. A broker begins as unavailable. */
  since: number | undefined = Date.now();
  /** The last reason; undefined while the server is available, and as long as no attempt has failed. */
  reason: string | undefined = undefined;
  private readonly logged = new Set<string>();

  /**
   * @param server its name, as the subject of a sentence
   * @param log takes a sentence at a time
   */
  constructor(
    private readonly server: string,
    private readonly log: (message: string) => void,
  ) {}

  /** The server has become unavailable, or still is. */
  note(reason: string): void {
    this.since ??= Date.now();
    this.reason = reason;
    if (this.logged.has(reason) || this.logged.size === maxReasons) return;
    this.logged.add(reason);
    this.log(`${this.server} is unavailable: ${reason}`);
  }

  /** The server is available. */
  end(): void {
    this.since = undefined;
    this.reason = undefined;
    if (this.logged.size > 0) this.log(`${this.server} is available again.`);
    this.logged.clear();
  }
}
