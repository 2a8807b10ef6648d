/** Something that a node says after a while, unless another node says it before. */
export class Later {
  private at = Number.POSITIVE_INFINITY;

  constructor(private readonly pauseMs: number) {}

  schedule(): void {
    this.at = Math.min(this.at, performance.now() + this.pauseMs * (1 + 2 * Math.random()));
  }

  cancel(): void {
    this.at = Number.POSITIVE_INFINITY;
  }

  /** Whether to say it now: each call is one time. */
  take(): boolean {
    if (performance.now() <= this.at) return false;
    this.cancel();
    return true;
  }
}
