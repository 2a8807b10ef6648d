import type { IncomingMessage } from 'node:http';
import type { ObservableInput } from 'rxjs';
import type { FeedItem } from '../message/message.js';

/** The connection that a source is made for. */
export interface FeedContext {
  /** The id from the path, decoded; of several, `?id=a&id=b`, the first. */
  readonly id: string;
  /** All feeds that the connection follows. */
  readonly ids: readonly string[];
  /** The request's target as the client sent it, path and query, but without its `token`. */
  readonly url: string;
  /**
   * Node's own request. Take what you need from it when the source is made: a source that keeps it keeps some 10 KB for as long as its
   * connection is open.
   */
  readonly request: IncomingMessage;
  /**
   * Aborted when the connection ends, whatever the reason. Give it to what the source waits for: a generator that waits in `await` is not
   * stopped otherwise until that is over.
   */
  readonly signal: AbortSignal;
}

/** Makes the items of one connection: called once for each, unsubscribed when the connection ends. */
export type FeedSource = (context: FeedContext) => ObservableInput<FeedItem>;
