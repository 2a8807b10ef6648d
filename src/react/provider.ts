import { createContext, createElement, type ReactElement, type ReactNode, useContext, useEffect, useState } from 'react';
import type { FeedClient, FeedClientOptions } from '../client/index.js';
import { createOwnClient } from './own-client.js';

const Context = createContext<FeedClient | undefined>(undefined);

export type FeedProviderProps = { readonly children?: ReactNode } & (
  | {
      /** A client of the application's, which closes it. */
      readonly client: FeedClient;
      readonly options?: undefined;
    }
  | {
      /** Options of a client that the provider makes, and closes when it is unmounted. They are read once: another `key` makes another. */
      readonly options: FeedClientOptions;
      readonly client?: undefined;
    }
);

/** Gives a client to the components in it, so that all of them share one connection. */
export function FeedProvider({ client, options, children }: FeedProviderProps): ReactElement {
  const [own] = useState(() => options && createOwnClient(options));
  useEffect(() => own?.keep(), [own]);
  const value = client ?? own?.client;
  if (!value) throw new TypeError('FeedProvider needs a client or options, from its first render on');
  return createElement(Context.Provider, { value }, children);
}

/**
 * The client of the nearest `FeedProvider`, for event handlers and effects: `publish()`, `history()`, `position()`.
 *
 * @throws TypeError where there is no provider
 */
export function useFeedClient(): FeedClient {
  const client = useContext(Context);
  if (!client) throw new TypeError('The hooks of nestjs-feed/react need a FeedProvider around their component');
  return client;
}
