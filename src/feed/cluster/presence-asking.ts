/** How many times a node asks, hearing itself, until it takes it that who has not answered does not take part. */
const mostAsks = 3;
/** How many times the pause between two asks doubles, where a node does not hear itself. */
const mostDoublings = 6;

/** When a node asks the others for everything. */
export class Asking {
  private isDue = true;
  /** How many times this node has heard itself ask, and how many times it has asked since it last did. */
  private heard = 0;
  private unheard = 0;
  private nextAt = 0;

  constructor(private readonly pauseMs: number) {}

  /** Whether it has asked often enough. */
  get isOver(): boolean {
    return this.heard >= mostAsks;
  }

  begin(): void {
    this.isDue = true;
    this.heard = 0;
  }

  /** Asks once more, if it has not just asked. */
  repeat(): void {
    this.isDue ||= performance.now() > this.nextAt;
  }

  hear(): void {
    this.heard += 1;
    this.unheard = 0;
  }

  /** Whether to ask now: each call is one time. */
  take(): boolean {
    if (!this.isDue) return false;
    this.isDue = false;
    this.nextAt = performance.now() + this.pauseMs * 2 ** Math.min(this.unheard, mostDoublings);
    this.unheard += 1;
    return true;
  }
}
