import {
  createParamDecorator,
  type ExecutionContext,
  HttpCode,
  Inject,
  Req,
  RequestMapping,
  RequestMethod,
  Res,
  SetMetadata,
} from '@nestjs/common';
import { EMPTY, type ObservableInput } from 'rxjs';
import { FeedOpener } from './connection/feed-opener.js';
import type { InterceptedSource } from './connection/intercepted-source.js';
import { FeedException } from './errors/feed-exception.js';
import { interceptedOf } from './feed.interceptors.js';
import type { AnyRequest, AnyResponse } from './http/adapter.js';
import { FeedRequest, type NamedFeeds } from './http/feed-request.js';
import { FEED_PATHS, NAMED_FEEDS } from './http/feed-routes.js';
import { decoratedParameters, FEED_LAST_GUARD, lastGuard } from './http/last-guard.js';
import { documentFeed } from './http/openapi.js';
import type { FeedRef } from './message/feed-definition.js';
import { checkFeedId, checkFeedIds, feedIdOf } from './message/feed-id.js';
import type { FeedItem } from './message/message.js';
import { checkRunOptions, type RunOptions } from './run/run.options.js';
import { Runs } from './run/runs.js';

/** Nest names it where it cannot inject it. */
const opener = Symbol('FeedOpener of FeedModule.forRoot(), which the root module must import');
const runs = Symbol('Runs of FeedModule.forRoot(), which the root module must import');

/** Options of a `@Feed()` route. */
export interface FeedRouteOptions {
  /**
   * The feed that a request's connection follows, or several: it gets what is published to them, and is counted under them.
   * It is called once a request: just before the handler, or, where `FeedAuthGuard` asks the option `authorize`, in that guard, so that guards
   * behind it have not run yet. Default: one named as the path of the request, such as `orders/42`.
   */
  feed?: (request: { params: Record<string, string> }) => string | FeedRef | (string | FeedRef)[];
  /**
   * The method of the request. With `POST`, or with `QUERY` where Nest has it, a request has a body, which the application's parsers and
   * pipes have read before the handler is called. Default: `RequestMethod.GET`.
   */
  method?: RequestMethod;
  /**
   * Whether what the handler returns is published to the feed by a run, which outlives the client: see `FeedService.run()`. The handler is
   * called where no run of the feed is under way on any node, and the feed has not ended. Each client gets the feed from its earliest
   * message on, or from the position that the client sends. Default: false: each connection has a source of its own. Options: those of the run.
   */
  run?: boolean | RunOptions;
}

/** The methods of which a response that stays open makes sense. */
const methodNames = ['GET', 'POST', 'QUERY'];
const methods = methodNames.map((name) => RequestMethod[name as keyof typeof RequestMethod]);

type Source = ObservableInput<FeedItem> | undefined;
type Handler = (this: { [opener]: FeedOpener; [runs]: Runs }, ...args: unknown[]) => unknown;

/**
 * Makes a controller's method a feed: `GET` on the path, or another method, answered with a response that stays open and carries what the
 * handler's Observable (or Promise of one, or async iterable) emits, and what is published to its feed.
 *
 * Where the handler returns nothing, `Last-Event-ID` and `?since=` resume the feed; a source resumes by its own ids.
 *
 * Guards, pipes, interceptors and exception filters work as on any route, before the first byte: what they or the handler throw is an
 * ordinary answer. What the handler returns passes through the interceptors, as on Nest's `@Sse()`: they see, and may change, each
 * item. Published messages do not: `FeedModule` has the option `serialize` for them.
 *
 * Called without a request, as a test of the controller calls it, the method returns what its handler returns.
 *
 * @param path as for `@Get()`
 * @param options see `FeedRouteOptions`
 * @throws TypeError for a method with which no feed can be opened; FeedOptionsError for wrong options of its run
 */
export function Feed(
  path: string | string[] = '',
  { feed, method = RequestMethod.GET, run = false }: FeedRouteOptions = {},
): MethodDecorator {
  if (!methods.includes(method))
    throw new TypeError(
      `@Feed() takes ${methodNames.join(', ').replace(/, (?=\w+$)/, ' or ')} as its method, not ${RequestMethod[method] ?? method}`,
    );
  const runOptions = run === false ? undefined : checkRunOptions("@Feed()'s run", run === true ? {} : run);
  return (target, key, descriptor: PropertyDescriptor) => {
    const handler = descriptor.value as Handler;
    const parameters: unknown[] = Reflect.getMetadata('design:paramtypes', target, key) ?? [];
    // Without the types of its parameters, those with decorators still count: `length` ends at the first that has a default.
    const decorated = decoratedParameters(target.constructor, key);
    const arity = Math.max(parameters.length, handler.length, ...decorated.map(({ index }) => index + 1));

    const named: NamedFeeds = (request) => {
      const feeds = feed && followedBy(feed, request);
      return run ? [checkFeedId(feeds?.[0] ?? request.path)] : feeds && checkFeedIds(feeds);
    };

    const follow: Handler = function (...args) {
      // A test of the controller calls its methods without a request.
      return args.length > arity + 1 ? open.call(this, args) : handler.apply(this, args);
    };

    async function open(this: ThisParameterType<Handler>, args: unknown[]): Promise<unknown> {
      const request = FeedRequest.of(args[arity] as AnyRequest);
      const response = args[arity + 1] as AnyResponse;
      const call = async () => handler.apply(this, args.slice(0, arity));
      if (runOptions) {
        const produce = async (signal: AbortSignal) => {
          request.detach(signal);
          return sourceOf(await call(), handler.name) ?? EMPTY;
        };
        await this[opener].open(request, response, {
          named,
          since: 'earliest',
          handler: async () => {
            if (!request.isHead) await this[runs].run(request.told?.[0] as string, produce, runOptions);
            return { source: undefined };
          },
        });
        return undefined;
      }
      const openWith = (pass: (source: Source) => InterceptedSource | Source) =>
        this[opener].open(request, response, {
          named,
          handler: async () => ({ source: pass(sourceOf(await call(), handler.name)) }),
        });

      const intercepted = interceptedOf(request.raw);
      if (intercepted) return intercepted.enter(openWith);
      await openWith((source) => source);
      return undefined;
    }

    // What decorators below this one have said of the handler also holds for its replacement.
    Object.defineProperty(follow, 'name', { value: handler.name });
    HttpCode(200)(target, key, { value: follow }); // Nest would have it 201 for `POST`
    for (const kind of Reflect.getMetadataKeys(handler)) Reflect.defineMetadata(kind, Reflect.getMetadata(kind, handler), follow);
    documentFeed(follow);
    descriptor.value = follow;

    // Two more parameters: with the response injected, Nest leaves the answer to the handler.
    Req()(target, key, arity);
    Res()(target, key, arity + 1);
    Inject(FeedOpener)(target, opener);
    if (run) Inject(Runs)(target, runs);
    SetMetadata(FEED_LAST_GUARD, lastGuard(decorated))(target, key, descriptor);
    SetMetadata(FEED_PATHS, [path].flat())(target, key, descriptor);
    SetMetadata(NAMED_FEEDS, named)(target, key, descriptor);
    RequestMapping({ path, method })(target, key, descriptor);
  };
}

/**
 * A parameter of a `@Feed()` handler: an `AbortSignal` that is aborted when the connection ends, whatever the reason, or when none is
 * opened; when the client leaves, at once, also while the handler is still awaited. Nest's `@SseSignal()` is the same. Give it to what a
 * generator waits for in `await`: a generator is not stopped otherwise until that is over.
 */
export const FeedSignal = createParamDecorator(
  (_: unknown, context: ExecutionContext): AbortSignal => FeedRequest.of(context.switchToHttp().getRequest()).signal,
);

/** @throws FeedException FEED_ID (400) where the request has a value that makes no feed of a definition */
function followedBy(feed: NonNullable<FeedRouteOptions['feed']>, { framed }: FeedRequest): string[] | undefined {
  try {
    const followed = feed(framed as AnyRequest & { params: Record<string, string> });
    return followed === undefined ? undefined : [followed].flat().map(feedIdOf);
  } catch (error) {
    if (!(error instanceof TypeError && 'code' in error && error.code === 'FEED_ID')) throw error;
    throw new FeedException('FEED_ID', { message: error.message, cause: error });
  }
}

/** RxJS checks that it really is an Observable or an iterable when it subscribes. */
function sourceOf(value: unknown, handler: string): Source {
  if (value === undefined || (typeof value === 'object' && value !== null)) return value as Source;
  throw new TypeError(`${handler}() must return an Observable, a Promise of one, an async iterable, or nothing`);
}
