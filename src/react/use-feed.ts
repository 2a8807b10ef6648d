import { useEffect, useSyncExternalStore } from 'react';
import type { Feed, FeedClientMessage, FeedNotice } from '../client/index.js';
import { FeedStore, type Reduce, type ReducedFeed } from './feed-store.js';
import { type MaybeFeeds, type Message, useFollowing } from './following.js';

export type { MaybeFeeds, ReducedFeed };

export interface FeedHookOptions {
  /** Where to begin, as `follow()` of the client takes it. It is read when the feeds are followed for the first time. Default: with the next message. */
  readonly since?: string | undefined;
}

export interface FeedReducer<M, State> extends FeedHookOptions {
  /** Makes the next state of the last one and a message; `end` and `reset` come to it as well. It is called once for each message, in order. */
  readonly reduce: (state: State, message: M) => State;
  /** The state before the first message, and while rendering on a server. */
  readonly initial: State;
}

export interface NewestMessage<M> extends Omit<ReducedFeed<unknown>, 'state'> {
  /** Undefined before the first. An `end` or a `reset` does not take its place. */
  readonly message: Exclude<M, FeedNotice> | undefined;
}

/**
 * Follows feeds while the component is mounted: its state is what a reducer makes of all their messages, or, without one, their newest message.
 * It renders at most once a frame. Where the feeds change, the state begins anew; without any (`null`), it waits.
 *
 * @throws TypeError where there is no `FeedProvider`, or a feed's id is not valid
 */
export function useFeed<const F extends Feed, State>(feeds: MaybeFeeds<F>, options: FeedReducer<Message<F>, State>): ReducedFeed<State>;
export function useFeed<const F extends Feed>(feeds: MaybeFeeds<F>, options?: FeedHookOptions): NewestMessage<Message<F>>;
export function useFeed(
  feeds: MaybeFeeds<Feed>,
  options: FeedHookOptions & Partial<FeedReducer<FeedClientMessage, unknown>> = {},
): Partial<ReducedFeed<unknown> & NewestMessage<FeedClientMessage>> {
  const { since, initial, reduce = newest } = options;
  const store = useFollowing(feeds, since, (following) => new FeedStore<FeedClientMessage, unknown>(following, reduce, initial));
  useEffect(() => {
    store.reduce = reduce;
  });
  const shown = useSyncExternalStore(store.subscribe, store.snapshot, store.snapshot);
  if (options.reduce) return shown;
  const { state, error, ended } = shown;
  return { message: state as FeedClientMessage | undefined, error, ended };
}

const newest: Reduce<FeedClientMessage, unknown> = (before, message) =>
  message.type === 'end' || message.type === 'reset' ? before : message;
