import { formatNames, type Manner } from '../lib/connection.js';
import { Feed } from '../lib/feed.js';
import { Crowd, Follower } from '../lib/follower.js';
import { until } from '../lib/waits.js';

/** The part of the visitors that leave at once, and within how many milliseconds: while they connect, ask, or are being answered. */
const [hasty, hastyMs] = [0.1, 10];
/** The part of the visitors that follow a feed of their own, which has no other followers before or after them. */
const alone = 0.25;
/** The part of all others that follow two feeds at once. */
const twice = 0.2;
/** One witness and one returner for so many connections open at a time. */
const perWitness = 40;
/** How long a returner's connection lasts, and how long it stays away, in milliseconds, on average. */
const [heldMs, awayMs] = [5000, 500];
/**
 * Bytes published after which the service must have ended a client that reads nothing: the kernel takes some 2.7 MB for it on a loopback
 * connection, the service holds 16 KiB.
 */
const tooMuch = 6_000_000;
/** How long a client that reads again may take to see that it was ended, in milliseconds. */
const patience = 20_000;
/** How often connections that are due are opened, in milliseconds. */
const stepMs = 10;
/** How many times faster than asked for connections are opened to make up for a pause. */
const haste = 5;

const manners: Manner[] = ['fin', 'reset', 'half'];
const chance = (share: number) => Math.random() < share;
const oneOf = <T>(list: readonly T[]): T => list[Math.floor(Math.random() * list.length)];
const about = (ms: number) => -ms * Math.log(1 - Math.random());

/** Comes, stays a while, and leaves in some manner. */
class Visitor extends Follower<SoakCrowd> {
  constructor(crowd: SoakCrowd, feeds: Feed[], stayMs: number) {
    super(crowd, feeds, oneOf(formatNames));
    this.connect(crowd.url);
    setTimeout(() => this.connection.leave(oneOf(manners)), chance(hasty) ? Math.random() * hastyMs : about(stayMs));
  }
}

/** Stays from the first to the last. */
class Witness extends Follower<SoakCrowd> {
  constructor(crowd: SoakCrowd, feeds: Feed[]) {
    super(crowd, feeds, oneOf(formatNames));
    this.connect(crowd.url);
  }
}

/** Loses its connection time and again, and comes back for what it has missed: nothing is lost or repeated across the gap. */
class Returner extends Follower<SoakCrowd> {
  constructor(crowd: SoakCrowd, feeds: Feed[]) {
    super(crowd, feeds, oneOf(['sse', 'ndjson'])); // text has no ids to come back with
    this.connect(crowd.url);
  }

  override connect(url: URL): void {
    super.connect(url);
    this.#loseLater();
  }

  override closed(why: string): void {
    super.closed(why);
    if (this.connection.hasLeft) setTimeout(() => this.crowd.isLeaving || this.connect(this.crowd.url), about(awayMs));
  }

  #loseLater(): void {
    setTimeout(() => {
      if (this.crowd.isSettling) return;
      if (this.lastId === undefined) this.#loseLater();
      else this.connection.leave(oneOf(manners));
    }, about(heldMs));
  }
}

/** Stops reading once it has its answer; when far more was published than can wait for it, it looks whether the service has ended it. */
class SlowReader extends Follower<SoakCrowd> {
  #begunAt = Number.POSITIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined = undefined;

  constructor(crowd: SoakCrowd) {
    super(crowd, [crowd.bulk], oneOf(formatNames));
    this.connect(crowd.url);
  }

  override head(status: number): void {
    super.head(status);
    this.#begunAt = this.crowd.bulk.owedBytes;
    if (!this.connection.hasLeft) this.connection.pause();
  }

  override message(): void {}

  look(): void {
    if (this.#timer || this.crowd.bulk.owedBytes - this.#begunAt < tooMuch) return;
    this.connection.resume();
    this.#timer = setTimeout(() => {
      this.crowd.faults.add('a slow reader that the service did not end');
      this.connection.leave('reset');
    }, patience);
  }

  override closed(why: string): void {
    clearTimeout(this.#timer);
    this.crowd.slowReaders.delete(this);
    super.closed(why);
  }

  protected override ended(): void {
    if (this.connection.isComplete) this.crowd.faults.add('a slow reader that came to an orderly end');
    else this.crowd.cut += 1;
  }
}

/** All that come to the service, and what they have to say of it. */
export class SoakCrowd extends Crowd {
  /** Slow readers that have been there, and those of them that the service has ended. */
  slow = 0;
  cut = 0;
  readonly slowReaders = new Set<SlowReader>();
  /** From when on connections are not lost any more, and from when on none is opened. */
  isSettling = false;
  isLeaving = false;
  /** What slow readers follow, and they alone. */
  readonly bulk = new Feed('bulk');
  readonly #feeds: Feed[];
  /** Those that stay from the first to the last. */
  readonly #checkers: Follower[] = [];
  /** The last visitors; some are still there. */
  readonly #recent: Follower[] = [];
  #visitors = 0;
  #arriving: NodeJS.Timeout | undefined = undefined;

  constructor(
    readonly url: URL,
    private readonly options: { rate: number; open: number; publish: number; slow: number },
  ) {
    super();
    // Two messages a second for each: history then never runs dry, and a client that comes back finds all that was missed.
    this.#feeds = Array.from({ length: Math.max(2, Math.round(options.publish / 2)) }, (_, n) => new Feed(`common/${n + 1}`));
  }

  /** Has connections opened, until `settle()`. */
  start(): void {
    const { rate, open } = this.options;
    for (let n = 0; n < Math.max(1, open / perWitness); n += 1) {
      this.#checkers.push(new Witness(this, this.#someFeeds()), new Returner(this, this.#someFeeds()));
    }
    const begunAt = performance.now();
    this.#arriving = setInterval(() => {
      const due = Math.ceil(((performance.now() - begunAt) / 1000) * rate);
      const most = this.#visitors + Math.ceil((rate * stepMs * haste) / 1000);
      while (this.#visitors < Math.min(due, most)) this.#arrive((open / rate / (1 - hasty)) * 1000);
      for (const reader of this.slowReaders) reader.look();
    }, stepMs);
  }

  /** A feed to publish to: that of one of the last visitors, whether it is still there or not; undefined where none is free. */
  freeFeed(): Feed | undefined {
    for (let tries = 0; tries < 8; tries += 1) {
      const feed = oneOf(oneOf(this.#recent)?.feeds ?? this.#feeds);
      if (!feed.isBusy) return feed;
    }
    return undefined;
  }

  /** No more connections are opened but by those that come back. Resolves once all that stay have what they must get, or when that lasts too long. */
  async settle(): Promise<void> {
    this.isSettling = true;
    clearInterval(this.#arriving);
    await until(() => this.#checkers.every(({ missing }) => missing === 0));
    for (const { missing } of this.#checkers) this.faults.add('lost', missing);
  }

  /** All leave. Resolves once the service has closed all connections, or when that lasts too long. */
  override async leave(): Promise<void> {
    this.isLeaving = true;
    for (const connection of this.connections) connection.leave(oneOf(manners));
    if (!(await until(() => this.connections.size === 0))) {
      this.faults.add('left with a FIN, and the service did not close', this.connections.size);
      for (const connection of this.connections) connection.destroy();
    }
  }

  #arrive(stayMs: number): void {
    this.#visitors += 1;
    if (chance(this.options.slow)) {
      this.slow += 1;
      this.slowReaders.add(new SlowReader(this));
      return;
    }
    const feeds = chance(alone) ? [new Feed(`own/${this.#visitors}`)] : this.#someFeeds();
    this.#recent[this.#visitors % Math.ceil(this.options.open)] = new Visitor(this, feeds, stayMs);
  }

  /** One of the feeds that all share, or two. */
  #someFeeds(): Feed[] {
    const first = oneOf(this.#feeds);
    return chance(twice) ? [...new Set([first, oneOf(this.#feeds)])] : [first];
  }
}
