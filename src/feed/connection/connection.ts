import { Socket } from 'node:net';
import type { Writable } from 'node:stream';
import { from, isObservable, type ObservableInput, type Observer, type Unsubscribable } from 'rxjs';
import type { FeedItem } from '../feed.message.js';
import type { CloseReason } from './close-reason.js';
import type { Encoder } from './encoder.js';
import { AsyncPull } from './pull.js';

/** Where a connection's bytes go once its head is out. */
export interface Outlet {
  /** The socket that was handed over, or the response where that could not be. */
  readonly stream: Writable;
  /** Whether the connection frames its chunks itself (RFC 9112 section 7.1), because HTTP's own code is out of the way. */
  readonly chunked: boolean;
}

/** Who keeps the connections and counts what they do. */
export interface ConnectionOwner {
  /** Unsent bytes that one connection may hold. */
  readonly bufferBytes: number;
  onOpened(connection: Connection): void;
  onSent(bytes: number): void;
  onFailed(connection: Connection, error: unknown): void;
  onClosed(connection: Connection): void;
}

const connectionOf = Symbol('connection');

interface Attached extends Writable {
  [connectionOf]?: Connection;
}

// Shared by all connections, so that one costs no closure.
function onClose(this: Attached) {
  this[connectionOf]?.left();
}
function onDrain(this: Attached) {
  this[connectionOf]?.drained();
}
function onFinish(this: Attached) {
  this.destroy();
}
function ignore() {}

/**
 * One HTTP response held open: an observer of messages that writes them to its outlet under a byte bound.
 *
 * It first listens to its source, then gets its outlet: what the source says or does until then is kept, so that a source
 * that fails at once is answered with an ordinary error instead of a broken stream.
 */
export class Connection implements Observer<FeedItem> {
  /** Why it ended; undefined while it is open. */
  reason: CloseReason | undefined = undefined;
  private outlet: Outlet | undefined = undefined;
  private source: Unsubscribable | undefined = undefined;
  /** The encoder's last emission that came here. */
  private emission = 0;
  /** What came before there was an outlet. */
  private early: Early | undefined = new Early();

  constructor(
    private readonly owner: ConnectionOwner,
    /** The feed it follows. */
    readonly feed: string,
    private readonly encoder: Encoder,
  ) {}

  /** Bytes that wait for the client. */
  get bufferedBytes(): number {
    return this.outlet?.stream.writableLength ?? 0;
  }

  /** Whether a source that can wait should. */
  get isFull(): boolean {
    if (!this.outlet) return true;
    const { writableLength, writableHighWaterMark } = this.outlet.stream;
    return writableLength >= writableHighWaterMark;
  }

  /** Whether its socket was taken out of the HTTP stack. */
  get isHandedOver(): boolean {
    return this.outlet?.stream instanceof Socket;
  }

  /** Whether the source has said anything yet, or come to its end. */
  get hasEarly(): boolean {
    return this.early !== undefined && (this.early.isComplete || this.early.failure !== undefined || this.early.items.length > 0);
  }

  /** Subscribes the source. */
  follow(source: ObservableInput<FeedItem>): void {
    this.source =
      !isObservable(source) && Symbol.asyncIterator in source
        ? new AsyncPull(source, this)
        : from(source as ObservableInput<FeedItem>).subscribe(this);
    if (this.reason !== undefined) this.source.unsubscribe();
  }

  /**
   * Gives the connection its outlet; whatever came before goes out now.
   *
   * @throws what the source failed with before the head was out
   */
  open(makeOutlet: () => Outlet): void {
    const early = this.early;
    this.early = undefined;
    if (early?.failure) {
      this.source?.unsubscribe();
      throw early.failure.error;
    }
    this.outlet = makeOutlet();
    const stream: Attached = this.outlet.stream;
    stream[connectionOf] = this;
    stream.on('close', onClose).on('error', ignore).on('drain', onDrain);
    this.owner.onOpened(this);
    if (this.reason !== undefined) {
      this.finish(this.outlet, this.reason);
      return;
    }
    for (const item of early?.items ?? []) this.next(item);
    if (early?.isComplete) this.complete();
    else this.drained();
  }

  next(item: FeedItem): void {
    if (this.reason !== undefined) return;
    if (!this.outlet) {
      this.early?.items.push(item);
      return;
    }
    const { stream, chunked } = this.outlet;
    if (stream.writableLength > this.owner.bufferBytes) {
      this.end('slow');
      return;
    }
    const { encoder } = this;
    try {
      encoder.encode(item, this.emission);
    } catch (error) {
      this.error(error);
      return;
    }
    this.emission = encoder.emission;
    if (encoder.bytes === 0) return;
    stream.write(encoder.frame(chunked), encoder.encoding);
    this.owner.onSent(encoder.bytes);
  }

  error(error: unknown): void {
    if (this.reason !== undefined) return;
    if (this.early) {
      this.early.failure = { error };
      return;
    }
    this.owner.onFailed(this, error);
    this.end('error');
  }

  complete(): void {
    if (this.early) this.early.isComplete = true;
    else this.end('completed');
  }

  /**
   * Ends the connection: its source at once, its response in the way that fits the reason. A client that is slow has its
   * connection cut; one whose source failed gets all that was sent and then an incomplete body, so that it can tell.
   */
  end(reason: CloseReason): void {
    if (this.reason !== undefined) return;
    this.reason = reason;
    this.source?.unsubscribe();
    if (this.outlet) this.finish(this.outlet, reason);
  }

  /** Cuts the connection, whatever waits unsent. */
  destroy(): void {
    this.outlet?.stream.destroy();
  }

  private finish({ stream, chunked }: Outlet, reason: CloseReason): void {
    if (reason === 'slow' || (reason === 'error' && !this.isHandedOver)) {
      stream.destroy();
      return;
    }
    stream.on('finish', onFinish);
    if (chunked && reason !== 'error') stream.end('0\r\n\r\n');
    else stream.end();
  }

  /** The outlet is gone: because of `end()`, or because the client left. */
  left(): void {
    if (this.reason === undefined) this.end('client');
    this.owner.onClosed(this);
  }

  /** The outlet takes more. */
  drained(): void {
    if (this.source instanceof AsyncPull) this.source.resume();
  }
}

class Early {
  readonly items: FeedItem[] = [];
  failure: { error: unknown } | undefined = undefined;
  isComplete = false;
}
