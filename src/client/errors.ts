/** What a server rejected a request with, or why a connection was given up. */
export class FeedClientError extends Error {
  override readonly name = 'FeedClientError';
  /** The status of the answer; undefined where there was none. */
  readonly status: number | undefined;
  /** The code of the error, such as `FEED_FORBIDDEN`. */
  readonly code: string | undefined;
  /** The feed that it is about, where it is about one. */
  readonly feed: string | undefined;
  /** When the server wants to be asked again, in milliseconds. */
  readonly retryAfterMs: number | undefined;

  constructor(message: string, details: Partial<Pick<FeedClientError, 'status' | 'code' | 'feed' | 'retryAfterMs'>> = {}, cause?: unknown) {
    super(message, { cause });
    this.status = details.status;
    this.code = details.code;
    this.feed = details.feed;
    this.retryAfterMs = details.retryAfterMs;
  }
}

/** Reads what a server says of a request that it rejects. */
export async function errorOf(response: Response): Promise<FeedClientError> {
  const { status, headers } = response;
  const body = (await response.json().catch(() => undefined)) as Record<string, never> | null | undefined;
  const { message, code, feed, retryAfter } = body ?? {};
  // A page of another origin sees no header that the server does not expose to it, but the body.
  const after = headers.get('retry-after') ?? retryAfter;
  const seconds = Number(after);
  const retryAfterMs = after == null ? undefined : Number.isNaN(seconds) ? Date.parse(after) - Date.now() || undefined : seconds * 1000;
  return new FeedClientError(typeof message === 'string' ? message : `The server answered with ${status}.`, {
    ...{ status, code, feed, retryAfterMs },
  });
}
