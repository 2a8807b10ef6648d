import { type IncomingMessage, request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { text as textOf } from 'node:stream/consumers';
import type { INestApplication } from '@nestjs/common';
import * as v from 'valibot';
import { checkOptions } from '../feed/errors/option-rules.js';
import { ndjson } from '../feed/format/ndjson.js';
import { FeedTimeoutError, FollowError, shortened } from './errors.js';
import { FeedMessages } from './messages.js';
import { ResponseSource } from './response-source.js';
import { overdue, type TimeLimit, timeLimitRules, within } from './time-limit.js';

/** How a test follows a path. */
export interface FollowOptions extends TimeLimit {
  /** Method of the request. Default: `GET`, or `POST` where there is a body. */
  method?: string;
  /** Body of the request, sent as JSON. Default: none. */
  body?: object;
  /** Headers of the request. `Accept` is always that of NDJSON. Default: `{}`. */
  headers?: Record<string, string>;
  /** The longest wait for the response to begin, and then for each message, in milliseconds. Default: 5000. */
  timeoutMs?: number;
  /** Ends the connection when it is aborted: the next message then fails with its reason. Default: none. */
  signal?: AbortSignal;
}

const followRules = {
  ...timeLimitRules,
  method: v.optional(v.string('must be the name of a method')),
  body: v.optional(v.custom<object>((value) => typeof value === 'object' && value !== null, 'must be an object')),
  headers: v.optional(v.record(v.string(), v.string('must be text'), 'must be an object of header names and values'), {}),
  signal: v.optional(v.instance(AbortSignal, 'must be an AbortSignal')),
};

/** Applications that are about to listen: several requests may be the first. */
const starting = new WeakMap<INestApplication, Promise<unknown>>();

/**
 * Follows a path of an application as a client does, over a connection. When this resolves, the connection is open: what is published from
 * then on is among its messages.
 *
 * @param app an application, which is told to listen on a free port of 127.0.0.1 if it does not listen yet; or the URL below which the path is
 * @param path the path of a feed, and perhaps a query: `/orders/7?since=earliest`
 * @param options see `FollowOptions`
 * @returns the messages, `{ id?, feed?, type?, data, time? }`. Where a client has everything of a feed that has ended (204), there are none
 * @throws FollowError with `status` and `body` where the request is answered with anything but a feed, or not at all; FeedTimeoutError
 * when no response begins in time; FeedOptionsError for a wrong option
 */
export async function follow<T = unknown>(
  app: INestApplication | string | URL,
  path: string,
  options: FollowOptions = {},
): Promise<FeedMessages<T>> {
  const { method, body, headers, timeoutMs, signal } = checkOptions('follow()', followRules, options);
  signal?.throwIfAborted();
  const url = `${(await baseOf(app)).replace(/\/+$/, '')}/${path.replace(/^\/+/, '')}`;
  const call = { url, method: method ?? (body ? 'POST' : 'GET'), headers, body };
  const name = `${call.method} ${url}`;
  const leaving = new AbortController();
  const ending = signal ? AbortSignal.any([signal, leaving.signal]) : leaving.signal;
  try {
    const response = await within(ask(call, name, ending), timeoutMs);
    if (response === overdue) throw new FeedTimeoutError(`${name}: no response within ${timeoutMs} ms`, timeoutMs);
    await checkAnswer(name, response, timeoutMs);
    return new FeedMessages(new ResponseSource(name, response, leaving, ending), timeoutMs);
  } catch (error) {
    leaving.abort();
    throw error;
  }
}

/** @throws FollowError where the answer has no messages in NDJSON */
async function checkAnswer(name: string, response: IncomingMessage, timeoutMs: number): Promise<void> {
  const { statusCode: status = 0 } = response;
  const isSuccess = status >= 200 && status <= 299;
  if (status === 204 || (isSuccess && response.headers['content-type']?.startsWith(ndjson.mediaType))) return;
  const text = isSuccess ? overdue : await within(textOf(response), timeoutMs); // what succeeds may have no end
  if (text === overdue) throw new FollowError(`${name} was answered ${status}, but not as ${ndjson.mediaType}`, status);
  throw new FollowError(`${name} was answered ${status}: ${shortened(text) || 'no body'}`, status, text);
}

interface Call {
  readonly url: string;
  readonly method: string;
  readonly headers: Record<string, string>;
  readonly body?: object | undefined;
}

/** Unlike `fetch()`, Node's own client tells a body that breaks off from one that ends, also where the connection is not kept alive. */
function ask({ url, method, headers, body }: Call, name: string, signal: AbortSignal): Promise<IncomingMessage> {
  const start = url.startsWith('https:') ? requestHttps : requestHttp;
  const type = body && { 'content-type': 'application/json' };
  return new Promise((resolve, reject) => {
    const request = start(url, { method, headers: { ...type, ...headers, accept: ndjson.mediaType }, signal, agent: false }, resolve);
    request.on('error', (error) => {
      const failure = () => new FollowError(`${name} failed: ${error.message}`, undefined, undefined, { cause: error });
      reject(signal.aborted ? signal.reason : failure());
    });
    request.end(body && JSON.stringify(body));
  });
}

async function baseOf(app: INestApplication | string | URL): Promise<string> {
  if (typeof app === 'string' || app instanceof URL) return String(app);
  if (!app.getHttpServer().listening) {
    const begun = starting.get(app) ?? app.listen(0, '127.0.0.1').finally(() => starting.delete(app));
    starting.set(app, begun);
    await begun;
  }
  return app.getUrl();
}
