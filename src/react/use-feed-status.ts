import { useCallback, useSyncExternalStore } from 'react';
import type { FeedClientStatus } from '../client/index.js';
import { idle } from './own-client.js';
import { useFeedClient } from './provider.js';

/**
 * How the connection is that all components of a `FeedProvider` share; `idle` while rendering on a server.
 *
 * @throws TypeError where there is no `FeedProvider`
 */
export function useFeedStatus(): FeedClientStatus {
  const { status } = useFeedClient();
  const subscribe = useCallback(
    (listener: () => void) => {
      const subscription = status.subscribe(listener);
      return () => subscription.unsubscribe();
    },
    [status],
  );
  return useSyncExternalStore(
    subscribe,
    () => status.value,
    () => idle,
  );
}
