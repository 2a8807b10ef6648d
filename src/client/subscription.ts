import { isAfter, positionOf } from './position.js';

/** A message, as the client yields it. */
export interface FeedClientMessage<Data = unknown, Type extends string | undefined = string | undefined> {
  /** Its position and its feed; undefined for what is not stored, such as items of a source. */
  readonly id?: string;
  readonly feed: string;
  /** Undefined for messages without a type. */
  readonly type?: Type;
  readonly data: Data;
  /** When it was stored, in milliseconds since 1970. */
  readonly time?: number;
}

/** The type of the message that tells that messages of a feed are lost. */
const resetType = 'reset';

/** What gets the messages of one feed. */
export interface Sink {
  next(message: FeedClientMessage): void;
  /** The feed has ended. */
  end(): void;
  fail(error: unknown): void;
  /** Loads the state of a feed that has lost messages; resolves with the position of that state. Undefined where nothing does. */
  readonly onReset: ((feed: string) => Promise<string | undefined>) | undefined;
}

/**
 * One consumer's part in a feed. Each message reaches it once and in order, whichever way it comes: by the connection of all feeds, or, until it
 * has caught up, by one of its own. What the former brings in the meantime is held.
 */
export class Subscription {
  /** Whether it gets its messages from a connection of its own, or waits for one. */
  isCatchingUp = false;
  private held: (FeedClientMessage | 'end')[] | undefined = [];
  /** The last message that it had, or a position up to which it has all. */
  private last: string | undefined = undefined;

  constructor(
    readonly feed: string,
    private readonly begin: string | undefined,
    private readonly sink: Sink,
  ) {}

  /** Where it has to begin, if it has to begin again before it has caught up. */
  get since(): string | undefined {
    return this.last ?? this.begin;
  }

  /** A message from the connection of all feeds. */
  next(message: FeedClientMessage): void {
    if (!this.held) this.deliver(message);
    // What has no id, such as a snapshot, is for those who were there.
    else if (!this.isCatchingUp || message.id !== undefined || message.type === resetType) this.held.push(message);
  }

  /** A message from a connection of its own. */
  replay(message: FeedClientMessage): void {
    this.deliver(message);
  }

  /** Holds what comes, until `release()`. */
  hold(): void {
    this.held ??= [];
  }

  /**
   * Lets out what was held, and what comes.
   *
   * @param position up to there it has all; undefined where it takes what comes
   */
  release(position?: string): void {
    this.isCatchingUp = false;
    this.skipTo(position);
    const { held = [] } = this;
    this.held = undefined;
    for (const [n, entry] of held.entries()) {
      if (this.isHolding) {
        this.held = held.slice(n); // one of them was a reset
        return;
      }
      if (entry === 'end') this.sink.end();
      else this.deliver(entry);
    }
  }

  private get isHolding(): boolean {
    return this.held !== undefined;
  }

  end(): void {
    if (this.held) this.held.push('end');
    else this.sink.end();
  }

  fail(error: unknown): void {
    this.sink.fail(error);
  }

  private skipTo(position: string | undefined): void {
    if (position !== undefined && (this.last === undefined || isAfter(positionOf(position), positionOf(this.last)))) this.last = position;
  }

  private deliver(message: FeedClientMessage): void {
    const { id, type } = message;
    if (type === resetType) {
      this.last = id;
      if (this.sink.onReset) void this.reload(this.sink.onReset);
      else this.sink.next(message);
      return;
    }
    if (id !== undefined) {
      if (this.last !== undefined && !isAfter(positionOf(id), positionOf(this.last))) return;
      this.last = id;
    }
    this.sink.next(message);
  }

  private async reload(onReset: (feed: string) => Promise<string | undefined>): Promise<void> {
    this.hold();
    try {
      this.release(await onReset(this.feed));
    } catch (error) {
      this.fail(error);
    }
  }
}
