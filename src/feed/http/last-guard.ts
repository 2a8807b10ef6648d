import type { CanActivate, ExecutionContext } from '@nestjs/common';
import * as nest from '@nestjs/common';
import { FeedRequest } from './feed-request.js';

/** The metadata key of the guard that `lastGuard()` makes for a `@Feed()` route, on the method. */
export const FEED_LAST_GUARD = 'nestjs-feed:last-guard';

/** A parameter of a handler, as the decorators of parameters leave it for Nest. */
interface DecoratedParameter {
  readonly index: number;
  /** What the handler asks for by name. */
  readonly data?: unknown;
  /** Makes the argument, where the decorator is not one of Nest's own. */
  readonly factory?: unknown;
}

/** The parameters of a handler that have decorators. */
export function decoratedParameters(controller: object, method: string | symbol): DecoratedParameter[] {
  return Object.values<DecoratedParameter>(Reflect.getMetadata('__routeArguments__', controller, method) ?? {});
}

/** The query parameters that belong to the feed of a route. */
const names = ['format', 'since', 'marks', 'token', 'ticket'];

/**
 * Prepares a request for the pipes and the handler of a `@Feed()` route. A guard, since all pipes come after guards.
 *
 * It takes the feed's own parameters off the query as the framework has parsed it, so that pipes, which may forbid what they do not know,
 * see the application's alone; the module reads them from the target. And it has Nest's `@SseSignal()` find the request's signal.
 */
export function lastGuard(parameters: readonly DecoratedParameter[]): CanActivate {
  const removed = names.filter((name) => !parameters.some(({ data }) => data === name));
  const wantsSignal = sseSignal !== undefined && parameters.some(({ factory }) => factory === sseSignal.factory);
  return {
    canActivate(context: ExecutionContext): boolean {
      const request = context.switchToHttp().getRequest();
      const { query }: { query?: Record<string, unknown> } = request;
      if (query && removed.some((name) => name in query)) {
        const rest = Object.assign(Object.create(Object.getPrototypeOf(query)), query);
        for (const name of removed) delete rest[name];
        // Express 5 parses the query anew whenever it is asked for: its getter has to go.
        Object.defineProperty(request, 'query', { value: rest, writable: true, enumerable: true, configurable: true });
      }
      if (wantsSignal) request[sseSignal.key] = FeedRequest.of(request).controller;
      return true;
    },
  };
}

/** How Nest's `@SseSignal()` is known among a handler's parameters, and where it looks for the controller of its signal; older Nest has neither. */
const sseSignal = (() => {
  if (!('SseSignal' in nest && 'SSE_ABORT_CONTROLLER' in nest)) return undefined;
  class Probe {}
  nest.SseSignal()(Probe.prototype, 'probe', 0);
  return { factory: decoratedParameters(Probe, 'probe')[0]?.factory, key: nest.SSE_ABORT_CONTROLLER };
})();
