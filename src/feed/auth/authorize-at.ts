import { createHash } from 'node:crypto';
import { Logger } from '@nestjs/common';
import * as v from 'valibot';
import { FeedOptionsError } from '../errors/feed-options.error.js';
import { checkOptions, milliseconds } from '../errors/option-rules.js';
import { CircuitBreaker } from '../time/circuit-breaker.js';
import { isFetchable } from './auth.options.js';
import { type AuthorizeFunction, type AuthorizeRequest, checkAuthorization, type FeedClaims } from './authorize.js';
import { freshnessOf } from './freshness.js';
import { authorizationUnavailable, unauthorized } from './unauthorized.js';

/** How another service is asked. */
export interface AuthorizeAtOptions {
  /** The longest that an answer may take, in milliseconds. Default: 3000. */
  timeoutMs?: number | undefined;
}

const optionRules = { timeoutMs: v.optional(milliseconds(1), 3000) };

/** How many requests are under way at a time, and how many wait for that. */
const [mostInFlight, mostWaiting] = [64, 1000];
/** Statuses that refuse what the client has sent: its credentials are malformed, or too long to be passed on. */
const refusals: ReadonlySet<number> = new Set([400, 401, 413, 414, 431]);
/** How many failures in a row are the last for a while, and how long that is, in milliseconds. */
const [mostFailures, pauseMs] = [5, 5000];
/** How long nothing is logged of requests that were not decided on, after one that was, in milliseconds. */
const quietMs = 60_000;
/** How many answers are stored. */
const mostStored = 10_000;
/** The most bytes of an answer. */
const mostBytes = 65_536;

/** What the service has said: claims, or whether the action is allowed, or that a token is missing. */
type Decision = FeedClaims | boolean | 'unauthorized';

/** An answer that decides nothing. The service is there: what one request brings about must not close it to others. */
class NoDecision extends Error {}

/**
 * Has another service decide what a request may do: for each, it gets a `POST` with `{ action, feeds, method, path }` as JSON, and with the
 * request's own `Authorization` and `Cookie`.
 *
 * A status of 2xx allows the action on these feeds. With a JSON object as the body, it allows what the claims say (see `FeedClaims`). 401 and
 * 403 are passed on; 400, 413, 414 and 431 are a 401 as well. With any other answer, a redirect included, the request gets 503.
 *
 * No answer in time, an incomplete answer, 429 and 5xx are failures: after 5 in a row the service is not asked for 5 s. An answer is stored for
 * the `max-age` of its `Cache-Control`, for the same credentials, action, feeds, method and path.
 *
 * @throws FeedOptionsError where the URL or an option is wrong
 */
export function authorizeAt(url: string, options: AuthorizeAtOptions = {}): AuthorizeFunction {
  if (typeof url !== 'string' || !isFetchable(url)) {
    throw new FeedOptionsError('authorizeAt() takes an http or https URL without a user name and a password', 'authorize');
  }
  const authorizer = new Authorizer(new URL(url), checkOptions('authorizeAt()', optionRules, options).timeoutMs);
  return (request) => authorizer.authorize(request);
}

/** A service that decides. */
class Authorizer {
  private readonly logger = new Logger('FeedAccess');
  private readonly breaker = new CircuitBreaker(mostFailures, pauseMs);
  private readonly stored = new Map<string, { readonly decision: Decision; readonly until: number }>();
  /** Questions that are being asked. */
  private readonly asking = new Map<string, Promise<Decision>>();
  private readonly waiting: (() => void)[] = [];
  private inFlight = 0;
  private isFailing = false;
  private warnedAt = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly url: URL,
    private readonly timeoutMs: number,
  ) {}

  async authorize(request: AuthorizeRequest): Promise<FeedClaims | boolean> {
    const decision = await this.decisionOn(request);
    if (decision === 'unauthorized') throw unauthorized('The token is missing or not valid.', request.authorization !== undefined);
    return decision;
  }

  private async decisionOn(request: AuthorizeRequest): Promise<Decision> {
    const { action, feeds, method, path, authorization, cookie } = request;
    const key = createHash('sha256')
      .update(JSON.stringify([authorization, cookie, action, feeds, method, path]))
      .digest('base64');
    const stored = this.find(key);
    if (stored !== undefined) return stored;
    const asking = this.asking.get(key);
    if (asking) {
      // Whether its answer is one for others, too, is known once it is there.
      await asking;
      return this.find(key) ?? this.ask(key, request);
    }
    const decision = this.ask(key, request);
    this.asking.set(key, decision);
    try {
      return await decision;
    } finally {
      this.asking.delete(key);
    }
  }

  private find(key: string): Decision | undefined {
    const found = this.stored.get(key);
    if (!found || found.until > performance.now()) return found?.decision;
    this.stored.delete(key);
    return undefined;
  }

  private async ask(key: string, request: AuthorizeRequest): Promise<Decision> {
    const signal = AbortSignal.timeout(this.timeoutMs);
    if (this.waiting.length >= mostWaiting) throw authorizationUnavailable();
    while (this.inFlight >= mostInFlight) await new Promise<void>((resolve) => this.waiting.push(resolve));
    if (!this.breaker.begin()) {
      this.waiting.shift()?.();
      throw authorizationUnavailable({ retryAfter: this.breaker.retryAfter });
    }
    this.inFlight += 1;
    try {
      const { decision, freshMs } = await this.send(request, signal);
      this.succeed();
      if (freshMs > 0) this.store(key, decision, freshMs);
      return decision;
    } catch (error) {
      this.fail(error as Error);
      throw authorizationUnavailable();
    } finally {
      this.inFlight -= 1;
      this.waiting.shift()?.();
    }
  }

  private async send(request: AuthorizeRequest, signal: AbortSignal): Promise<{ decision: Decision; freshMs: number }> {
    const { action, feeds, method, path, authorization, cookie } = request;
    const init: RequestInit = {
      method: 'POST',
      redirect: 'manual',
      signal,
      headers: {
        'content-type': 'application/json',
        accept: 'application/json',
        'user-agent': 'nestjs-feed',
        ...(authorization !== undefined && { authorization }),
        ...(cookie !== undefined && { cookie }),
      },
      body: JSON.stringify({ action, feeds, method, path }),
    };
    // Where the service has just closed the connection, which was idle, it is no failure: a new one is tried.
    const response = await fetch(this.url, init).catch((error: Error) => {
      if (isBroken(error)) return fetch(this.url, init);
      throw error;
    });
    const text = await readText(response);
    return { decision: decisionIn(response, text), freshMs: freshnessOf(response.headers) };
  }

  private store(key: string, decision: Decision, freshMs: number): void {
    const leftMs = typeof decision === 'object' && decision.exp !== undefined ? decision.exp * 1000 - Date.now() : freshMs;
    this.stored.delete(key); // the last one stored is the last to go
    this.stored.set(key, { decision, until: performance.now() + Math.min(freshMs, leftMs) });
    for (const oldest of this.stored.keys()) {
      if (this.stored.size <= mostStored) return;
      this.stored.delete(oldest);
    }
  }

  private succeed(): void {
    this.breaker.succeed();
    if (!this.isFailing) return;
    this.isFailing = false;
    this.logger.log(`${this.name} authorizes requests again`);
  }

  private fail(error: Error): void {
    if (error instanceof NoDecision) {
      this.breaker.succeed();
      this.warn(error);
      return;
    }
    this.breaker.fail();
    if (this.isFailing) return;
    this.isFailing = true;
    this.logger.error(`${this.name} does not authorize requests, which are rejected until it does: ${reasonOf(error, this.timeoutMs)}`);
  }

  /** Seldom: one client may be the cause, as often as it likes. */
  private warn(error: Error): void {
    const now = performance.now();
    if (now - this.warnedAt < quietMs) return;
    this.warnedAt = now;
    this.logger.warn(`${this.name} has not decided on a request, which is rejected: ${error.message}`);
  }

  /** Without its query, which may have a secret. */
  private get name(): string {
    return this.url.origin + this.url.pathname;
  }
}

/** @throws Error where the service has decided nothing: `NoDecision`, where it is not in trouble */
function decisionIn({ status, ok }: Response, text: string): Decision {
  if (refusals.has(status)) return 'unauthorized';
  if (status === 403) return false;
  if (status === 429 || status >= 500) throw new Error(`expected 2xx, 401 or 403, got ${status}`);
  if (!ok) throw new NoDecision(`expected 2xx, 401 or 403, got ${status}`);
  if (text.trim() === '') return true;
  let claims: unknown;
  try {
    claims = JSON.parse(text);
  } catch {
    throw new NoDecision('the body of its answer is neither empty nor JSON');
  }
  if (typeof claims !== 'object' || claims === null) throw new NoDecision('the body of its answer is no JSON object');
  try {
    return checkAuthorization(claims);
  } catch (error) {
    throw new NoDecision((error as Error).message);
  }
}

async function readText({ body }: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body ?? []) {
    size += chunk.length;
    if (size > mostBytes) throw new NoDecision(`the body of its answer has more than ${mostBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}

/** Whether a connection ended before an answer began. */
function isBroken({ cause }: Error): boolean {
  return ['UND_ERR_SOCKET', 'ECONNRESET', 'EPIPE'].includes((cause as NodeJS.ErrnoException | undefined)?.code ?? '');
}

/** `fetch` gives the reason in the cause. */
function reasonOf({ name, message, cause }: Error, timeoutMs: number): string {
  if (name === 'TimeoutError') return `no answer within ${timeoutMs} ms`;
  return cause instanceof Error ? `${message}: ${cause.message || (cause as NodeJS.ErrnoException).code}` : message;
}
