import { useState } from 'react';
import type { MessageFrom } from '../client/feed-client.js';
import { idOf } from '../client/feed-id.js';
import type { Feed, FeedClient, FeedClientMessage, FeedObserver } from '../client/index.js';
import { useFeedClient } from './provider.js';

/** A feed, several, or none yet. */
export type MaybeFeeds<F extends Feed> = F | readonly F[] | null | undefined;

export type Message<F extends Feed> = MessageFrom<F> & FeedClientMessage;

/** A component's part in some feeds. It may be stopped and started again: each feed goes on where it was. */
export class Following<M extends FeedClientMessage = FeedClientMessage> {
  /** The feeds that have not ended, by id, and where each goes on. */
  readonly #feeds = new Map<string, { readonly feed: Feed; since: string | undefined }>();

  constructor(
    readonly client: FeedClient,
    /** The same for the same feeds. */
    readonly key: string,
    feeds: readonly Feed[],
    since: string | undefined,
  ) {
    for (const feed of feeds) this.#feeds.set(idOf(feed), { feed, since });
  }

  /** @returns what stops it */
  start({ next, error, complete }: Required<FeedObserver<M>>): () => void {
    const followed = [...this.#feeds].map(([id, part]) => {
      const messages = this.client.follow(part.feed, { since: part.since });
      return { id, part, messages };
    });
    const subscriptions = followed.map(({ id, part, messages }) =>
      messages.subscribe({
        next(message) {
          part.since = (message as FeedClientMessage).id ?? part.since;
          next(message as M);
        },
        error,
        complete: () => {
          this.#feeds.delete(id);
          if (this.#feeds.size === 0) complete();
        },
      }),
    );
    return () => {
      for (const subscription of subscriptions) subscription.unsubscribe();
    };
  }
}

/** What a component keeps of the feeds that it follows: it is made anew where those, or the client, are others. */
export function useFollowing<Kept extends { readonly following: Following }>(
  feeds: MaybeFeeds<Feed>,
  since: string | undefined,
  make: (following: Following) => Kept,
): Kept {
  const client = useFeedClient();
  const all = [feeds ?? []].flat() as Feed[];
  const key = [...new Set(all.map(idOf))].sort().join();
  const makeAnew = () => make(new Following(client, key, all, since));
  const [before, keep] = useState(makeAnew);
  const isSame = before.following.client === client && before.following.key === key;
  const kept = isSame ? before : makeAnew();
  if (!isSame) keep(kept);
  return kept;
}
