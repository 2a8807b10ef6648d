/** What the consumers of a page make the connection wait for. */
export class Backlog {
  private readonly full = new Set<object>();
  private wait: Promise<void> | undefined = undefined;
  private resume: (() => void) | undefined = undefined;

  /** What has to be waited for; undefined where nothing has to. */
  readonly ready = (): Promise<void> | undefined => this.wait;

  set(consumer: object, isFull: boolean): void {
    if (isFull) this.full.add(consumer);
    else if (!this.full.delete(consumer)) return;
    if (this.full.size === 0) {
      this.resume?.();
      this.wait = undefined;
    } else
      this.wait ??= new Promise((resolve) => {
        this.resume = resolve;
      });
  }
}
