import type { CanActivate, ExecutionContext } from '@nestjs/common';

/** The metadata key of the guard that `ownQuery()` makes for a `@Feed()` route, on the method. */
export const FEED_OWN_QUERY = 'nestjs-feed:own-query';

/** The query parameters that belong to the feed of a route. */
const names = ['format', 'since', 'marks', 'token'];

/**
 * Takes the feed's own parameters off the query as the framework has parsed it, so that a handler's pipes, which may forbid what they do
 * not know, see the application's alone. The module reads them from the target. A guard, since all pipes come after guards.
 *
 * @param kept the parameters that the handler asks for by name
 */
export function ownQuery(kept: ReadonlySet<unknown>): CanActivate {
  const removed = names.filter((name) => !kept.has(name));
  return {
    canActivate(context: ExecutionContext): boolean {
      const request = context.switchToHttp().getRequest<{ query?: Record<string, unknown> }>();
      const { query } = request;
      if (query && removed.some((name) => name in query)) {
        const rest = Object.assign(Object.create(Object.getPrototypeOf(query)), query);
        for (const name of removed) delete rest[name];
        // Express 5 parses the query anew whenever it is asked for: its getter has to go.
        Object.defineProperty(request, 'query', { value: rest, writable: true, enumerable: true, configurable: true });
      }
      return true;
    },
  };
}
