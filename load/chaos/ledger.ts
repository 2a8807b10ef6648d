import type { Faults, Feed, Track } from '../lib/feed.js';

/**
 * What one client gets of a feed while its engine may lose messages. A `reset` tells that some are lost, and the client begins anew: what
 * has not come of all that was acknowledged until then is told, and what has come may come again, in its order.
 */
export class Ledger implements Track {
  resets = 0;
  /** Messages that came again after a reset. */
  again = 0;
  /** The number of the first message that must come. */
  #first = 1;
  /** The number of the last message of which a reset has told, should it not come, … */
  #told = 0;
  /** … and those up to there that were still under way. */
  #untold: ReadonlySet<number> = new Set();
  /** The highest number since the last reset, and all of them; those that came before it. */
  #last = 0;
  #current = new Set<number>();
  readonly #before = new Set<number>();

  constructor(
    readonly feed: Feed,
    private readonly faults: Faults,
  ) {}

  begin(): void {
    this.#first = this.feed.sent + 1;
  }

  take(number: number): void {
    const { feed, faults } = this;
    if (!(number <= feed.sent)) faults.add('misdelivered');
    else if (this.#current.has(number)) faults.add('repeated');
    // A request that was cut off may get through late.
    else if (feed.isOrdered && number < this.#last && !feed.isUnsure(number)) faults.add('out of order');
    if (this.#before.has(number)) this.again += 1;
    this.#current.add(number);
    this.#last = Math.max(this.#last, number);
  }

  reset(): void {
    const { feed } = this;
    this.resets += 1;
    this.#told = feed.sent;
    this.#untold = new Set(feed.underWay);
    for (const number of this.#current) this.#before.add(number);
    this.#current = new Set();
    this.#last = 0;
  }

  /** How many messages are lost without a word, as far as one can say now. */
  get missing(): number {
    return this.#lost.filter((number) => !this.#isTold(number)).length;
  }

  /** The numbers of the messages that are lost, and of which a reset has told. */
  get told(): number[] {
    return this.#lost.filter((number) => this.#isTold(number));
  }

  #isTold(number: number): boolean {
    return number <= this.#told && !this.#untold.has(number);
  }

  get #lost(): number[] {
    const { feed } = this;
    const lost: number[] = [];
    const last = Math.min(feed.sent, feed.lastOwed);
    for (let number = this.#first; number <= last; number += 1) {
      if (!feed.isUnsure(number) && !this.#current.has(number) && !this.#before.has(number)) lost.push(number);
    }
    return lost;
  }
}
