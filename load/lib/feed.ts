/** What went wrong, and how often. */
export class Faults extends Map<string, number> {
  constructor() {
    super(['lost', 'repeated', 'out of order', 'resets', 'misdelivered'].map((what) => [what, 0]));
  }

  add(what: string, count = 1): void {
    if (count > 0) this.set(what, (this.get(what) ?? 0) + count);
  }

  get count(): number {
    return [...this.values()].reduce((all, count) => all + count, 0);
  }
}

/** A feed that messages numbered 1, 2, 3, … are published to; it knows which of them its followers must get. */
export class Feed {
  /** The number of the last message that was sent to the service. */
  sent = 0;
  /** The numbers of the messages whose answers are still to come. */
  readonly underWay = new Set<number>();
  /** The bytes of all messages that followers must get. */
  owedBytes = 0;
  /** The number of the last message that must come even where no later one does. */
  lastOwed = Number.POSITIVE_INFINITY;
  /** Numbers of messages that followers need not get: they may come all the same. */
  readonly #unsure = new Set<number>();

  /** @param most how many messages may be under way at a time. Default: one, which the next must not overtake */
  constructor(
    readonly name: string,
    private readonly most = 1,
  ) {}

  /** Whether as many messages are under way as may be. */
  get isBusy(): boolean {
    return this.underWay.size >= this.most;
  }

  /** Whether its messages come in the order of their numbers. */
  get isOrdered(): boolean {
    return this.most === 1;
  }

  /**
   * Publishes the next message.
   *
   * @param send resolves with whether followers must get it, which is so once it was acknowledged
   * @param bytes that it has at least
   */
  async publish(send: (feed: Feed, text: string) => Promise<boolean>, bytes: number): Promise<boolean> {
    this.sent += 1;
    const number = this.sent;
    this.underWay.add(number);
    const text = `${number} ${performance.now().toFixed(3)} ${this.name} `.padEnd(bytes, 'x');
    const isOwed = await send(this, text);
    if (isOwed) this.owedBytes += text.length;
    else this.#unsure.add(number);
    this.underWay.delete(number);
    return isOwed;
  }

  /**
   * Connections end from now on. Of what is acknowledged later, an end may have been sent before it was published, and is read after the
   * answer: it is owed to those alone that get a later message.
   */
  settle(): void {
    this.lastOwed = this.isBusy ? this.sent - 1 : this.sent;
  }

  isUnsure(number: number): boolean {
    return this.#unsure.has(number);
  }

  /** How many messages, after one number and before another, followers must get. Their answers are all there. */
  owedBetween(after: number, before: number): number {
    let count = 0;
    for (let number = after + 1; number < before; number += 1) if (!this.#unsure.has(number)) count += 1;
    return count;
  }
}

/** What a follower gets of a feed, and what is still to come. */
export interface Track {
  readonly feed: Feed;
  /** How many messages have not come so far that must come. */
  readonly missing: number;
  /** The first answer is there. */
  begin(): void;
  take(number: number): void;
  /** The service says that messages are lost. */
  reset(): void;
}

/** Checks that a follower gets each message of a feed that it must get, once and in order, and those that it may get no more than once. */
export class StrictTrack implements Track {
  /** The number of the last message that came. */
  #last: number | undefined = undefined;
  /** The number of the first message that must come. */
  #first = 1;
  /** Those that came though they need not have: a request that was cut off may get through late, but once. */
  readonly #unsure = new Set<number>();

  constructor(
    readonly feed: Feed,
    private readonly faults: Faults,
  ) {}

  /** The first answer is there: what was on its way may have come too early for it, what is sent from now on must come. */
  begin(): void {
    this.#first = this.feed.sent + 1;
  }

  take(number: number): void {
    const { feed, faults } = this;
    const isUnsure = feed.isUnsure(number);
    const last = this.#last ?? Math.min(number, this.#first) - 1;
    if (!(number <= feed.sent)) faults.add('misdelivered');
    else if (number > last) {
      faults.add('lost', feed.owedBetween(last, number));
      this.#last = number;
    } else if (number === last || this.#unsure.has(number)) faults.add('repeated');
    else if (!isUnsure) faults.add('out of order');
    if (isUnsure) this.#unsure.add(number);
  }

  reset(): void {
    this.faults.add('resets');
  }

  get missing(): number {
    const { feed } = this;
    return feed.owedBetween(this.#last ?? this.#first - 1, Math.min(feed.sent, feed.lastOwed) + 1);
  }
}
