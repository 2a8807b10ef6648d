import { createFeedClient, type FeedClient, type FeedClientOptions, type FeedClientStatus } from '../client/index.js';
import { interoperable } from '../client/observable.js';

/** The status of a client that is not there yet. */
export const idle: FeedClientStatus = { state: 'idle' };

/** A provider's own client. */
interface OwnClient {
  readonly client: FeedClient;
  /** Keeps the client until the result is called, and it is not kept again in the same turn. */
  keep(): () => void;
}

/**
 * Makes a client that begins when it is first used. Rendering does not use it: React may throw away what it has rendered, and a server renders
 * without following. A client that was closed, and is used again, begins anew.
 */
export function createOwnClient(options: FeedClientOptions): OwnClient {
  let begun: FeedClient | undefined;
  let closing: ReturnType<typeof setTimeout> | undefined;
  const begin = (): FeedClient => {
    begun ??= createFeedClient(options);
    return begun;
  };
  const close = () => {
    begun?.close();
    begun = undefined;
  };
  const client: FeedClient = {
    status: interoperable({
      get value() {
        return begun?.status.value ?? idle;
      },
      subscribe: (observer: Parameters<FeedClient['status']['subscribe']>[0]) => begin().status.subscribe(observer),
    }),
    follow: (feeds, followOptions) => begin().follow(feeds, followOptions),
    publish: (...args: unknown[]) => begin().publish(...(args as Parameters<FeedClient['publish']>)),
    history: (feeds, query) => begin().history(feeds, query),
    position: (feeds, query) => begin().position(feeds, query),
    close,
  };
  return {
    client,
    keep() {
      clearTimeout(closing);
      return () => {
        // Strict mode unmounts and mounts again at once.
        closing = setTimeout(close);
      };
    },
  };
}
