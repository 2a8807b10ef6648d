import { Observable, type ObservableInput, type Observer, type Subscriber, type Unsubscribable } from 'rxjs';
import type { FeedItem } from '../message/message.js';
import { type BackpressureObserver, type SourceSubscription, subscribeTo } from './async-source.js';

type Source = ObservableInput<FeedItem>;

/** Opens the feed; calls `pass` with what the handler returned, and follows what that returns. */
type Open = (pass: (source: Source | undefined) => InterceptedSource | undefined) => Promise<unknown>;

/**
 * The source of a route that has interceptors. What the handler returned goes in at one end of their chain (`enter()`), the connection takes
 * what comes out at the other (`attach()`).
 *
 * A feed may be silent for longer than any answer may take: a chain that ends with a timeout is subscribed again, for the same source.
 */
export class InterceptedSource implements SourceSubscription {
  /** What Nest waits for: the feed is open, or why it is not. */
  readonly opened: Promise<unknown>;
  /** Whether the handler was called, and its request is taken care of. */
  isAnswered = false;
  private settle!: { resolve: (value?: unknown) => void; reject: (error: unknown) => void };
  private source: Source | undefined;
  private chained: Unsubscribable | undefined;
  private running: SourceSubscription | undefined;
  private connection: BackpressureObserver<FeedItem> | undefined;
  /** The chain, as a subscriber of the source. */
  private inner: Subscriber<FeedItem> | undefined;
  private isRestarting = false;
  /** Whether the chain is being given an item, or the end: what it fails with then is no silence. */
  private isEmitting = false;
  /** Whether the source has come to its end. */
  private isCompleted = false;
  private isStopped = false;
  private failure: { readonly error: unknown } | undefined;
  /** What came out of the chain before there was a connection, or from the source while the chain began anew. */
  private held: ((observer: Observer<FeedItem>) => void)[] = [];
  private readonly entrance = new Observable<FeedItem>((inner) => this.begin(inner));

  /** @param chain calls the other interceptors, and then the handler, each time that it is subscribed */
  constructor(private readonly chain: Observable<unknown>) {
    this.opened = new Promise((resolve, reject) => {
      this.settle = { resolve, reject };
    });
    this.run();
  }

  /**
   * Opens the feed of the handler that the chain has called.
   *
   * @returns what the handler returns to the chain: its source, or undefined, once the feed is open, where it has none
   */
  enter(open: Open): Promise<Observable<FeedItem> | undefined> {
    if (this.source !== undefined) return Promise.resolve(this.entrance);
    return new Promise((resolve, reject) => {
      const pass = (source: Source | undefined) => {
        if (this.failure) throw this.failure.error; // it has been answered meanwhile
        this.source = source;
        if (source === undefined) return undefined;
        resolve(this.entrance);
        return this;
      };
      open(pass).then(
        () => {
          this.isAnswered = true;
          resolve(undefined);
          if (this.source !== undefined) this.settle.resolve();
          if (!this.connection) this.unsubscribe(); // there was none to open
        },
        (error) => {
          reject(error);
          if (this.source === undefined) return; // the interceptors see it first
          this.settle.reject(error);
          this.unsubscribe();
        },
      );
    });
  }

  /** Begins: what comes out of the chain goes to the connection. */
  attach(connection: BackpressureObserver<FeedItem>): this {
    this.connection = connection;
    this.release(connection);
    this.start();
    return this;
  }

  /** The connection can take more. */
  resume(): void {
    this.running?.resume?.();
  }

  unsubscribe(): void {
    if (this.source === undefined) return; // the chain ends by itself
    this.isStopped = true;
    this.held = [];
    try {
      this.chained?.unsubscribe();
    } finally {
      this.running?.unsubscribe();
    }
  }

  private run(): void {
    this.chained = this.chain.subscribe({
      next: (item) => this.out((connection) => connection.next(item as FeedItem)),
      error: (error) => this.fail(error),
      complete: () => this.end(),
    });
    if (this.isStopped) this.chained.unsubscribe();
  }

  private begin(inner: Subscriber<FeedItem>): () => void {
    this.inner = inner;
    if (this.isRestarting) this.release(inner);
    this.isRestarting = false;
    this.start();
    return () => {
      if (this.inner === inner) this.inner = undefined;
    };
  }

  /** Subscribes the source, once both ends of the chain are in place. */
  private start(): void {
    const { source, connection, inner } = this;
    if (source === undefined || !connection || !inner || this.running || this.isStopped) return;
    const observer = {
      next: (item: FeedItem) => this.in((to) => to.next(item)),
      error: (error: unknown) => {
        this.isCompleted = true;
        this.in((to) => to.error(error));
      },
      complete: () => {
        this.isCompleted = true;
        this.in((to) => to.complete());
      },
      get isFull() {
        return connection.isFull;
      },
    };
    this.running = subscribeTo(source, observer);
    if (this.isStopped) this.running.unsubscribe();
  }

  private in(emit: (inner: Observer<FeedItem>) => void): void {
    if (this.isRestarting) this.held.push(emit);
    else if (this.inner) {
      this.isEmitting = true;
      emit(this.inner);
      this.isEmitting = false;
    }
  }

  private out(emit: (connection: Observer<FeedItem>) => void): void {
    if (this.connection) emit(this.connection);
    else if (this.source !== undefined) this.held.push(emit);
  }

  private release(observer: Observer<FeedItem>): void {
    const { held } = this;
    this.held = [];
    for (const emit of held) emit(observer);
  }

  private fail(error: unknown): void {
    if (this.source === undefined) {
      this.failure = { error };
      this.settle.reject(error);
    } else if (this.running && !this.isRestarting && !this.isEmitting && !this.isCompleted && isTimeout(error)) {
      this.isRestarting = true;
      this.run();
    } else {
      this.out((connection) => connection.error(error));
    }
  }

  private end(): void {
    if (this.source === undefined) this.settle.resolve();
    else this.out((connection) => connection.complete());
  }
}

/** RxJS's own error, and Nest's `RequestTimeoutException`, which its documentation makes of that. */
function isTimeout(error: unknown): boolean {
  try {
    const { name, getStatus } = Object(error) as { name?: unknown; getStatus?: () => unknown };
    return name === 'TimeoutError' || (typeof getStatus === 'function' && getStatus.call(error) === 408);
  } catch {
    return false; // nothing catches what an application's exception throws itself
  }
}
