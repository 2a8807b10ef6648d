import type { IncomingMessage } from 'node:http';
import type { ObservableInput } from 'rxjs';
import type { FeedItem } from '../message/message.js';

/** What a source is told about the connection that it is to feed. */
export interface FeedContext {
  /** The id from the path, decoded; of several, `?id=a&id=b`, the first. */
  readonly id: string;
  /** All feeds that the connection follows. */
  readonly ids: readonly string[];
  /** The request's target as the client sent it, path and query, but without its `token`. */
  readonly url: string;
  /**
   * The request, as Node has it. Take what you need from it when the source is called: a source that keeps it
   * keeps some 10 KB for as long as its connection lives.
   */
  readonly request: IncomingMessage;
}

/** Feeds one connection by itself: called once for each, unsubscribed when the connection ends. */
export type FeedSource = (context: FeedContext) => ObservableInput<FeedItem>;
