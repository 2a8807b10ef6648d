import { STATUS_CODES } from 'node:http';
import { HttpException } from '@nestjs/common';

/** Seconds after which a client may retry what the service cannot do at the moment. */
export const retryAfter = 5;

/** Every error that a client can get: its status, and its text where the thrower has nothing more precise to say. */
const table = {
  /** The id of a feed breaks the rule. */
  FEED_ID: { status: 400, message: 'The feed id is not valid.' },
  /** A request names no feed, or too many. */
  FEED_IDS: { status: 400, message: 'Name the feed in the path, or one or several as ?id=a&id=b.' },
  /** `?since=` is not valid, or contradicts itself. */
  FEED_SINCE: { status: 400, message: 'The since parameter is not valid.' },
  /** A parameter of the query is out of range, or excludes another one. */
  FEED_QUERY: { status: 400, message: 'The query is not valid.' },
  /** A message cannot be published: some format could not reproduce it, or it does not fit the definition of its feed. */
  FEED_MESSAGE: { status: 400, message: 'The message is not valid.' },
  /** A key or a token is missing or not valid. `challenge` becomes `WWW-Authenticate` (RFC 6750 section 3). */
  FEED_UNAUTHORIZED: { status: 401, message: 'This needs a token.' },
  /** The token, or every token of its subject, has been revoked. */
  FEED_REVOKED: { status: 403, message: 'The token has been revoked.' },
  /** The connection was ended from outside. Its client is told so in the stream; a long poll that should not come back is answered with it. */
  FEED_DISCONNECTED: { status: 403, message: 'The connection was ended by an operator.' },
  /** The token is valid, but does not grant this. */
  FEED_FORBIDDEN: { status: 403, message: 'The token does not grant this.' },
  /** No format that the client accepts is available. `formats` lists those that are. */
  FEED_FORMAT: { status: 406, message: 'The format is not available.' },
  /** The client accepts no content coding of a feed, and not that there is none. */
  FEED_CODING: { status: 406, message: 'Feeds are sent with gzip or as they are: accept gzip or identity in Accept-Encoding.' },
  /** The feed has ended: nothing is published to it until it is cleared. */
  FEED_ENDED: { status: 409, message: 'The feed has ended. Clear it to begin it anew.' },
  /** The feed has messages after the position that the publisher expects to be its end. */
  FEED_POSITION: { status: 409, message: 'The feed has other messages after the expected position: read them, and publish again.' },
  /** The message has more bytes than `limit`. */
  FEED_BODY_TOO_LARGE: { status: 413, message: 'The message is too large.' },
  /** What is published is neither text nor JSON. */
  FEED_MEDIA_TYPE: { status: 415, message: 'Publish text or JSON.' },
  /** The key of a publication has been used for another message of the feed. */
  FEED_KEY: { status: 422, message: 'The Idempotency-Key was used for another message of this feed: give each message its own.' },
  /** The client has as many connections as it may have, or opens them too fast, or more is published to a feed than it takes (RFC 6585 section 4). */
  FEED_TOO_MANY: { status: 429, message: 'The client has too many connections.', retryAfter },
  /**
   * No further connection is accepted: a limit is reached, of all or of a feed, requests come faster than they are opened, the service is
   * shutting down, the snapshot of a feed has failed, or token keys cannot be fetched.
   */
  FEED_UNAVAILABLE: { status: 503, message: 'The service is unavailable.', retryAfter },
  /** `?scope=` of the counts is unknown, or does not go with `?id=`. */
  HEALTH_SCOPE: { status: 400, message: 'scope is worker, service or cluster.' },
  /** `?scope=` of the metrics is unknown. */
  METRICS_SCOPE: { status: 400, message: 'scope is worker (the process that responds) or service (all workers of its port).' },
  /** The dashboard's key is missing or wrong. */
  DASHBOARD_KEY: { status: 401, message: 'The dashboard needs its key: send it as Authorization: Bearer, or enter it at /dashboard.' },
  /** The message broker cannot be reached. What was published may have been stored all the same. */
  FEED_BROKER: { status: 503, message: 'The message broker is unavailable.', retryAfter },
} satisfies Record<string, { status: number; message: string; retryAfter?: number }>;

/** What programs tell errors by. */
export type FeedErrorCode = keyof typeof table;

/** Those that requests for feeds get. */
export const feedErrorCodes = (Object.keys(table) as FeedErrorCode[]).filter((code) => code.startsWith('FEED_'));

/** What of a message's data does not fit the schema of its type. */
export interface FeedIssue {
  /** Where it is in the data: the keys that lead to it. */
  readonly path: readonly (string | number)[];
  /** What is wrong, as the schema says it. */
  readonly message: string;
}

/** What an error says beside its code. */
export interface FeedErrorDetails {
  /** What is wrong and what is allowed. Default: the text of the code. */
  message?: string;
  /** Seconds after which the client may try again: the answer's `Retry-After`. Default: 5 for 429 and 503, none for others. */
  retryAfter?: number;
  /** The feed that the token does not grant (403). */
  feed?: string;
  /** The most bytes that a message may have (413). */
  limit?: number;
  /** The formats that are available (406). */
  formats?: readonly string[];
  /** What does not fit the definition of the feed, the first 20 (400). */
  issues?: readonly FeedIssue[];
  /** The answer's `WWW-Authenticate` (401); it is not a part of the body. */
  challenge?: string;
  cause?: unknown;
}

/** Whether an error of the application says itself how it is answered. */
export function isAnswer(error: unknown): error is HttpException {
  return error instanceof HttpException;
}

/**
 * An error that a client of the feeds gets, as `{ statusCode, error, code, message }` and the details of its code.
 * Compare `code` in your exception filters.
 */
export class FeedException extends HttpException {
  /** Seconds after which the client may try again. */
  readonly retryAfter: number | undefined;
  /** What `WWW-Authenticate` says. */
  readonly challenge: string | undefined;
  /** The most bytes that a message may have. */
  readonly limit: number | undefined;
  /** What of the data does not fit the definition of the feed. */
  readonly issues: readonly FeedIssue[] | undefined;

  constructor(
    readonly code: FeedErrorCode,
    { challenge, cause, ...details }: FeedErrorDetails = {},
  ) {
    const { status, ...defaults } = table[code];
    super({ statusCode: status, error: STATUS_CODES[status], code, ...defaults, ...details }, status, { cause });
    this.challenge = challenge;
    this.limit = details.limit;
    this.issues = details.issues;
    this.retryAfter = (this.getResponse() as FeedErrorDetails).retryAfter;
  }
}
