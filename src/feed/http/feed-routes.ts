import { Injectable, RequestMapping, RequestMethod, type Type } from '@nestjs/common';
import { DiscoveryService, MetadataScanner, Reflector } from '@nestjs/core';
import type { FeedRequest, NamedFeeds } from './feed-request.js';
import { FeedTargets } from './feed-targets.js';

/** The metadata key of a `@Feed()` route's paths, on the method. */
export const FEED_PATHS = 'nestjs-feed:paths';

/** The metadata key of what tells the feeds that a request to a route names, on the method. */
export const NAMED_FEEDS = 'nestjs-feed:named-feeds';

/**
 * The feeds that a request names in its path or query; none where its route does not say.
 *
 * @throws FeedException FEED_ID, FEED_IDS (400)
 */
export function namedFeeds(handler: object, request: FeedRequest): readonly string[] {
  const tell: NamedFeeds | undefined = Reflect.getMetadata(NAMED_FEEDS, handler);
  return tell ? (request.feedsBy(tell) ?? request.feedsOfPath) : [];
}

/** Whether a controller's method opens a feed. */
export function isFeedRoute(handler: object): boolean {
  return Reflect.hasMetadata(FEED_PATHS, handler);
}

interface Route {
  readonly controller: Type<unknown> & { readonly prototype: Record<string, () => unknown> };
  readonly handler: () => unknown;
  readonly paths: readonly string[];
}

/** Knows the routes of feeds: the `@Feed()` methods of all controllers, and the module's own. */
@Injectable()
export class FeedRoutes {
  constructor(
    private readonly discovery: DiscoveryService,
    private readonly scanner: MetadataScanner,
    private readonly reflector: Reflector,
  ) {}

  /**
   * Tells the request targets of all feeds, and as few others as can be told without the application's router: what comes before a
   * controller's path (a global prefix, a version, a mounted module's path) may be anything.
   */
  targets(): FeedTargets {
    return new FeedTargets(this.matching(this.all()), this.matching(this.others()));
  }

  /** Each route of a feed. */
  all(): Route[] {
    return this.routes((handler) => this.reflector.get<string[] | undefined>(FEED_PATHS, handler));
  }

  /** Each other route that a `GET` may be for. */
  private others(): Route[] {
    return this.routes((handler) => {
      const method = this.reflector.get<RequestMethod | undefined>(METHOD, handler);
      const isOther = (method === RequestMethod.GET || method === RequestMethod.ALL) && !isFeedRoute(handler);
      return isOther ? [this.reflector.get<string | string[]>(PATH, handler)].flat() : undefined;
    });
  }

  private routes(pathsOf: (handler: () => unknown) => string[] | undefined): Route[] {
    return this.discovery.getControllers().flatMap(({ metatype }) => {
      if (!metatype) return [];
      const controller = metatype as Route['controller'];
      const { prototype } = controller;
      return this.scanner.getAllMethodNames(prototype).flatMap((name) => {
        const handler = prototype[name] as () => unknown;
        const paths = pathsOf(handler);
        return paths ? [{ controller, handler, paths }] : [];
      });
    });
  }

  /** Matches the targets of routes; the first group is what comes before the controller's path. */
  private matching(routes: readonly Route[]): RegExp {
    const endings = routes.flatMap(({ controller, paths }) => {
      const prefixes = [this.reflector.get<string | string[]>(PATH, controller) ?? ''].flat();
      return paths.flatMap((path) => prefixes.map((prefix) => ending(`${prefix}/${path}`)));
    });
    return endings.length === 0 ? /(?!)/ : new RegExp(`^((?:[^?]*?/)?)(?:${endings.join('|')})/?(?:\\?|$)`, 'i');
  }
}

/** Nest's metadata keys of a route's path and method, read from a route of our own: Nest exports the decorator, not the keys. */
const [PATH, METHOD] = (() => {
  const probe = () => {};
  RequestMapping({ path: 'probe', method: RequestMethod.SEARCH })({}, 'probe', { value: probe });
  const keyOf = (value: unknown) => Reflect.getMetadataKeys(probe).find((key) => Reflect.getMetadata(key, probe) === value) as string;
  return [keyOf('probe'), keyOf(RequestMethod.SEARCH)];
})();

/** A route's path as a pattern: plain segments as they are, parameters as any segment; from anything else on, anything. */
function ending(path: string): string {
  const segments: string[] = [];
  for (const segment of path.split('/').filter(Boolean)) {
    if (/^:\w+$/.test(segment)) segments.push('[^/?]+');
    else if (/^[\w.~-]+$/.test(segment)) segments.push(segment.replaceAll('.', '\\.'));
    else return [...segments, '[^?]*'].join('/');
  }
  return segments.join('/');
}
