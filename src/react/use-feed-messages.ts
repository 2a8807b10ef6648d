import { useEffect, useRef } from 'react';
import type { Feed, FeedClientMessage, FeedObserver } from '../client/index.js';
import { toObserver } from '../client/observable.js';
import { type Following, type MaybeFeeds, type Message, useFollowing } from './following.js';
import type { FeedHookOptions } from './use-feed.js';

const keepFollowing = (following: Following) => ({ following });

/**
 * Calls a listener with each message of feeds while the component is mounted, as it comes; it renders nothing. The listener of the last render is
 * called: it may be another each time. An observer is told of errors and of the end as well; without it, an error is reported as uncaught.
 *
 * @throws TypeError where there is no `FeedProvider`, or a feed's id is not valid
 */
export function useFeedMessages<const F extends Feed>(
  feeds: MaybeFeeds<F>,
  listener: ((message: Message<F>) => void) | FeedObserver<Message<F>>,
  { since }: FeedHookOptions = {},
): void {
  const { following } = useFollowing(feeds, since, keepFollowing);
  const latest = useRef<FeedObserver<FeedClientMessage>>({});
  useEffect(() => {
    latest.current = toObserver(listener as FeedObserver<FeedClientMessage>);
  });
  useEffect(
    () =>
      following.start({
        next: (message) => latest.current.next?.(message),
        error(error) {
          if (!latest.current.error) throw error;
          latest.current.error(error);
        },
        complete: () => latest.current.complete?.(),
      }),
    [following],
  );
}
