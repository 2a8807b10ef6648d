import type { FeedClientMessage } from '../client/index.js';
import type { Following } from './following.js';
import { beforeNextFrame } from './frame.js';

export type Reduce<M, State> = (state: State, message: M) => State;

export interface ReducedFeed<State> {
  /** What the reducer made of all messages. */
  readonly state: State;
  /** Why a feed cannot be followed, a `FeedClientError`. Other feeds go on. */
  readonly error: unknown;
  /** Whether all of the feeds have ended. */
  readonly ended: boolean;
}

/**
 * Reduces messages to a state, which React reads. Each message is reduced once, when it comes; components are told once a frame, those of the
 * same page together.
 */
export class FeedStore<M extends FeedClientMessage, State> {
  #current: ReducedFeed<State>;
  /** What components have been told. */
  #shown: ReducedFeed<State>;
  readonly #listeners = new Set<() => void>();

  constructor(
    readonly following: Following<M>,
    public reduce: Reduce<M, State>,
    initial: State,
  ) {
    this.#current = { state: initial, error: undefined, ended: false };
    this.#shown = this.#current;
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    if (this.#current.error !== undefined) this.#set({ error: undefined }); // it is tried again
    const stop = this.following.start({
      next: (message) => this.#set({ state: this.reduce(this.#current.state, message) }),
      error: (error) => this.#set({ error }),
      complete: () => this.#set({ ended: true }),
    });
    return () => {
      this.#listeners.delete(listener);
      stop();
    };
  };

  readonly snapshot = (): ReducedFeed<State> => this.#shown;

  readonly #show = () => {
    this.#shown = this.#current;
    for (const listener of this.#listeners) listener();
  };

  #set(change: Partial<ReducedFeed<State>>): void {
    if ('state' in change && change.state === this.#current.state) return; // as a reducer of React's
    this.#current = { ...this.#current, ...change };
    beforeNextFrame(this.#show);
  }
}
