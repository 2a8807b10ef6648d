import { type Client, Connection, type Format, type Message } from './connection.js';
import { Faults, type Feed, StrictTrack, type Track } from './feed.js';

/** What followers have seen, all together. */
export class Crowd {
  /** Connections begun, and those of them that were answered with 200. */
  begun = 0;
  answered = 0;
  open = 0;
  /** Connections that the service has ended in good order, and otherwise. */
  completed = 0;
  torn = 0;
  /** Messages that reached their followers. */
  received = 0;
  readonly faults = new Faults();
  /** How long messages took, in milliseconds; undefined while that is not asked for. */
  latencies: number[] | undefined = undefined;
  readonly connections = new Set<Connection>();

  /** What checks what one follower gets of a feed. */
  track(feed: Feed): Track {
    return new StrictTrack(feed, this.faults);
  }

  leave(): void {
    for (const connection of this.connections) connection.leave('reset');
  }
}

/** Follows feeds, and checks that of each it gets every message once and in order, from its first answer on. */
export class Follower<C extends Crowd = Crowd> implements Client {
  /** That of the last answer. */
  status = 0;
  /** From the beginning of the connection to its answer, in milliseconds. */
  firstByteMs = 0;
  connection!: Connection;
  protected lastId: string | undefined = undefined;
  /** How long the service asks it to wait before it connects again. */
  protected retryMs: number | undefined = undefined;
  readonly #tracks: Map<string, Track>;
  #begunAt = 0;
  #isOpen = false;
  #hasAnswer = false;

  constructor(
    protected readonly crowd: C,
    readonly feeds: readonly Feed[],
    protected readonly format: Format = 'text',
  ) {
    this.#tracks = new Map(feeds.map((feed) => [feed.name, crowd.track(feed)]));
  }

  /** Whether it is connected. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** How many messages have not come so far that must come. */
  get missing(): number {
    let count = 0;
    for (const track of this.#tracks.values()) count += track.missing;
    return count;
  }

  /** Opens its connection: the first one, or another with the id of its last message. */
  connect(url: URL): void {
    const { crowd, format, lastId } = this;
    const [first, ...others] = this.#tracks.keys();
    const target = others.length === 0 ? `/test/${first}` : `/test?${[first, ...others].map((name) => `id=${name}`).join('&')}`;
    this.retryMs = undefined;
    this.#begunAt = performance.now();
    crowd.begun += 1;
    this.connection = new Connection(url, target, this, format, lastId);
    crowd.connections.add(this.connection);
  }

  head(status: number, retryAfterMs?: number): void {
    this.status = status;
    this.retryMs = retryAfterMs;
    this.firstByteMs = performance.now() - this.#begunAt;
    if (status !== 200) {
      this.rejected(status);
      return;
    }
    this.crowd.answered += 1;
    this.crowd.open += 1;
    this.#isOpen = true;
    if (!this.#hasAnswer) for (const track of this.#tracks.values()) track.begin();
    this.#hasAnswer = true;
  }

  message({ id, type, text, retryMs }: Message): void {
    const { faults, latencies } = this.crowd;
    if (id !== undefined) this.lastId = id;
    if (retryMs !== undefined) this.retryMs = retryMs;
    if (type === 'reset') for (const track of this.#tracks.values()) track.reset();
    else if (type === 'error') this.failed();
    else if (type !== undefined) faults.add(`of the type ${type}`);
    else if (text !== undefined) {
      // In text, the feed and a tab may come first.
      const [, number, sentAt, name] = /(\d+) (\d+\.\d+) (\S+) /.exec(text) ?? [];
      const track = this.#tracks.get(name);
      if (!track) faults.add('misdelivered');
      track?.take(Number(number));
      latencies?.push(performance.now() - Number(sentAt));
      this.crowd.received += 1;
    }
  }

  closed(why: string): void {
    const { crowd, connection } = this;
    crowd.connections.delete(connection);
    if (this.#isOpen) crowd.open -= 1;
    this.#isOpen = false;
    if (connection.hasLeft) return;
    if (connection.isComplete) crowd.completed += 1;
    else crowd.torn += 1;
    this.ended(why);
  }

  /** Was told that its history cannot be read, before its response breaks off. */
  protected failed(): void {
    this.crowd.faults.add('told that history cannot be read');
  }

  /** Was answered with another status than 200. */
  protected rejected(status: number): void {
    this.crowd.faults.add(`answered with status ${status}`);
    this.connection.leave('fin');
  }

  /** Its connection is closed, and it has not left. */
  protected ended(why: string): void {
    this.crowd.faults.add(`ended by the service: ${why}`);
  }
}
