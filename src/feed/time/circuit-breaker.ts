/** The state of a circuit breaker: work goes through, is refused until a time by `performance.now()`, or one attempt is under way. */
type State =
  | { readonly is: 'closed'; readonly failures: number }
  | { readonly is: 'open'; readonly until: number }
  | { readonly is: 'half-open' };

/**
 * Refuses work on something that keeps failing, so that it is neither waited for nor burdened further. After a pause one attempt shows
 * whether it works again (https://learn.microsoft.com/azure/architecture/patterns/circuit-breaker).
 */
export class CircuitBreaker {
  private state: State = { is: 'closed', failures: 0 };

  /**
   * @param mostFailures how many failures in a row open it
   * @param pauseMs how long it then stays open, in milliseconds
   */
  constructor(
    private readonly mostFailures: number,
    private readonly pauseMs: number,
  ) {}

  /** Seconds until an attempt may be made, for `Retry-After`; 0 where it may be made now. */
  get retryAfter(): number {
    const { state } = this;
    if (state.is === 'closed') return 0;
    if (state.is === 'half-open') return 1;
    return Math.max(0, Math.ceil((state.until - performance.now()) / 1000));
  }

  /**
   * Begins an attempt, whose end is told by `succeed()` or `fail()`.
   *
   * @returns whether it may be made
   */
  begin(): boolean {
    if (this.retryAfter > 0) return false;
    if (this.state.is === 'open') this.state = { is: 'half-open' };
    return true;
  }

  succeed(): void {
    this.state = { is: 'closed', failures: 0 };
  }

  fail(): void {
    const { state } = this;
    if (state.is === 'open') return; // one that began before
    const failures = state.is === 'closed' ? state.failures + 1 : this.mostFailures;
    const isOpen = failures >= this.mostFailures;
    this.state = isOpen ? { is: 'open', until: performance.now() + this.pauseMs } : { is: 'closed', failures };
  }
}
