import type { IncomingMessage, ServerResponse } from 'node:http';
import { Get, Inject, Req, Res, SetMetadata } from '@nestjs/common';
import type { ObservableInput } from 'rxjs';
import { FeedService } from './feed.service.js';
import { FEED_PATHS } from './http/feed-routes.js';
import type { FeedItem } from './message/message.js';

const feeds = Symbol('FeedService');

/** What `@Feed()` may be told of its route. */
export interface FeedRouteOptions {
  /**
   * The feed that a request's connection follows, or several: what is published to them reaches it, and it is counted under them.
   * Default: one that is named as the request's path, such as `orders/42`.
   */
  feed?: (request: { params: Record<string, string> }) => string | string[];
}

type Handler = (this: { [feeds]: FeedService }, ...args: unknown[]) => unknown;

/**
 * Makes a controller's method a feed: `GET` on the path, answered with a response that stays open and carries what the
 * handler's Observable (or Promise of one, or async iterable) emits, and what is published to its feed.
 *
 * Where the handler returns nothing, `Last-Event-ID` and `?since=` resume the feed; the ids of a source are the source's own affair.
 *
 * Guards, pipes, interceptors and exception filters work as on any route, and before the first byte: what they or the handler
 * throw is an ordinary answer. Interceptors see the route complete when the feed is open, not its messages.
 *
 * @param path as for `@Get()`
 * @param options see `FeedRouteOptions`
 */
export function Feed(path?: string | string[], { feed }: FeedRouteOptions = {}): MethodDecorator {
  return (target, key, descriptor: PropertyDescriptor) => {
    const handler = descriptor.value as Handler;
    const parameters: unknown[] = Reflect.getMetadata('design:paramtypes', target, key) ?? [];
    // Without the types of its parameters, those with decorators still count: `length` ends at the first that has a default.
    const decorated: Record<string, { index: number }> = Reflect.getMetadata('__routeArguments__', target.constructor, key) ?? {};
    const arity = Math.max(parameters.length, handler.length, ...Object.values(decorated).map(({ index }) => index + 1));

    const follow: Handler = async function (...args) {
      const request = args[arity] as IncomingMessage & { params: Record<string, string> };
      const response = args[arity + 1] as ServerResponse;
      this[feeds].admit(request, response);
      const source = await handler.apply(this, args.slice(0, arity));
      if (source !== undefined && !isSource(source)) {
        throw new TypeError(`${handler.name}() must return an Observable, a Promise of one, an async iterable, or nothing`);
      }
      const followed = feed?.(request);
      await this[feeds].connect(request, response, {
        feeds: followed === undefined ? undefined : [followed].flat(),
        source: source && (() => source),
      });
    };

    // What decorators below this one have said of the handler holds for what stands in for it.
    Object.defineProperty(follow, 'name', { value: handler.name });
    for (const kind of Reflect.getMetadataKeys(handler)) Reflect.defineMetadata(kind, Reflect.getMetadata(kind, handler), follow);
    descriptor.value = follow;

    // Two parameters more: with the response injected, Nest leaves the answer to the handler.
    Req()(target, key, arity);
    Res()(target, key, arity + 1);
    Inject(FeedService)(target, feeds);
    SetMetadata(FEED_PATHS, [path ?? ''].flat())(target, key, descriptor);
    Get(path)(target, key, descriptor);
  };
}

/** Whether a feed can follow it; that it really is an Observable or an iterable, RxJS checks when it subscribes. */
function isSource(value: unknown): value is ObservableInput<FeedItem> {
  return typeof value === 'object' && value !== null;
}
