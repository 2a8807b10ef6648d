import type { IncomingMessage } from 'node:http';
import type { StoredMessage } from '../message/message.js';

/** A message that was published where tracing is on. */
export interface TracedMessage extends StoredMessage {
  readonly trace: string;
}

/** What was made of a request for a feed. */
export interface Opened {
  /** The status of the answer; undefined where the client left before. */
  readonly status: number | undefined;
  /** The destinations of its feeds, each once. */
  readonly destinations: readonly string[];
  /** The connection; undefined where none was opened, because the request was `HEAD`, its feeds have ended, or the client has left. */
  readonly connection:
    | {
        /** The name of its format. */
        readonly format: string;
        /** Whether its response ended with the head, as Node sees it. */
        readonly isHandedOver: boolean;
      }
    | undefined;
}

/** The trace of a request for a feed, from its beginning to its head. One of the two is called, once. */
export interface OpeningTrace {
  end(opened: Opened): void;
  /** @param error what the request is answered with */
  fail(error: unknown): void;
}

/**
 * Records as traces how messages are published and delivered, and how connections are opened: `otelTracer()` of `nestjs-feed/otel`, or your
 * own.
 *
 * Destinations are names of feeds that are few, however many feeds there are: the pattern of a feed's definition, or of its rule, or `*`.
 */
export interface FeedTracer {
  /**
   * Publishes a message.
   *
   * @param append appends it, with its trace where it has one: a line of 1 to 1,024 characters of ASCII, see `Content`
   */
  publish(destination: string, append: (trace: string | undefined) => Promise<StoredMessage>): Promise<StoredMessage>;
  /**
   * Delivers a message that has a trace. It is called once for each message in each process with subscribers of its feed.
   *
   * @param deliver gives it to all of them, at once; it must be called
   */
  deliver(destination: string, message: TracedMessage, deliver: () => void): void;
  /**
   * A connection is to be opened.
   *
   * @param route the path of the route, as it is registered
   * @param isResumed whether the client says where it wants to begin
   */
  open(request: IncomingMessage, route: string, isResumed: boolean): OpeningTrace;
}
