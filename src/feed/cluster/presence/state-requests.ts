/** After how many requests that this node has received itself a node without an answer counts as one that does not take part. */
const mostRequests = 3;
/** How many times the pause between two requests doubles, while a node does not receive its own. */
const mostDoublings = 6;

/** When a node requests the state of all others. */
export class StateRequests {
  private isDue = true;
  /** How many of its own requests this node has received. */
  private received = 0;
  /** How many it has sent since it last received one. */
  private unreceived = 0;
  private nextAt = 0;

  constructor(private readonly pauseMs: number) {}

  /** Whether there have been enough requests. */
  get isExhausted(): boolean {
    return this.received >= mostRequests;
  }

  begin(): void {
    this.isDue = true;
    this.received = 0;
  }

  /** Requests the state once more, unless the last request was sent just now. */
  repeat(): void {
    this.isDue ||= performance.now() > this.nextAt;
  }

  /** This node has received its own request. */
  receive(): void {
    this.received += 1;
    this.unreceived = 0;
  }

  /** Whether to send a request now. Each request is taken once. */
  take(): boolean {
    if (!this.isDue) return false;
    this.isDue = false;
    this.nextAt = performance.now() + this.pauseMs * 2 ** Math.min(this.unreceived, mostDoublings);
    this.unreceived += 1;
    return true;
  }
}

/** A delay of one to three pauses, after which a node sends what no other node has sent before it. */
export class JitteredDelay {
  private at = Number.POSITIVE_INFINITY;

  constructor(private readonly pauseMs: number) {}

  schedule(): void {
    this.at = Math.min(this.at, performance.now() + this.pauseMs * (1 + 2 * Math.random()));
  }

  cancel(): void {
    this.at = Number.POSITIVE_INFINITY;
  }

  /** Whether the delay is over. Each delay is taken once. */
  take(): boolean {
    if (performance.now() <= this.at) return false;
    this.cancel();
    return true;
  }
}
