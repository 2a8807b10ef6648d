/** What is known of a request that was refused. */
export interface Refusal {
  /** The status of the answer; undefined where there was none. */
  readonly status?: number | undefined;
  /** The code of the error, such as `FEED_FORBIDDEN`. */
  readonly code?: string | undefined;
  /** The feed that it is about, where it is about one. */
  readonly feed?: string | undefined;
  /** What does not fit in a message of a defined feed. */
  readonly issues?: readonly { readonly path: readonly PropertyKey[]; readonly message: string }[] | undefined;
  /** When the server wants to be asked again, in milliseconds. */
  readonly retryAfterMs?: number | undefined;
}

/** What a server refused a request with, or why a connection was given up. */
export class FeedClientError extends Error implements Refusal {
  declare readonly status: number | undefined;
  declare readonly code: string | undefined;
  declare readonly feed: string | undefined;
  declare readonly issues: Refusal['issues'];
  declare readonly retryAfterMs: number | undefined;

  constructor(message: string, refusal?: Refusal) {
    super(message);
    Object.assign(this, refusal, { name: 'FeedClientError' });
  }
}

/** More than this, and half of it again, would be too much for a timer, which would end at once: eleven days, in milliseconds. */
export const longestMs = 1e9;

/** Reads what a server says of a request that it refuses. */
export async function errorOf(response: Response): Promise<FeedClientError> {
  const { status, headers } = response;
  const body = (await response.json().catch(() => undefined)) as Record<string, never> | null | undefined;
  const { message = `The answer was ${status}.`, retryAfter, ...rest } = body ?? {};
  // A page of another origin sees no header that the server does not expose to it, but the body.
  const after = headers.get('retry-after') ?? retryAfter ?? '';
  const ms = +after * 1000 || Date.parse(after) - Date.now();
  return new FeedClientError(message, { ...rest, status, retryAfterMs: ms > 0 ? Math.min(ms, longestMs) : undefined });
}

/** Whether it would not help to repeat a request that was refused with this. */
export function isFinal({ status }: Refusal): boolean {
  return /^4(?!08|25|29)/.test(`${status}`);
}
