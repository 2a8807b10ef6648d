import { type CallHandler, type ExecutionContext, Injectable, type NestInterceptor, UseGuards, UseInterceptors } from '@nestjs/common';
import { type ApplicationConfig, ModuleRef } from '@nestjs/core';
import { defer, mergeAll, type Observable } from 'rxjs';
import { InterceptedSource } from './connection/intercepted-source.js';
import { type AnyRequest, type AnyResponse, rawOf } from './http/adapter.js';
import { FeedRoutes } from './http/feed-routes.js';
import { FEED_LAST_GUARD, lastGuard } from './http/last-guard.js';

/** The methods that are feeds, of all applications in this process. */
const feedHandlers = new WeakSet<object>();

/** The requests of feeds that have interceptors. */
const intercepted = new WeakMap<object, InterceptedSource>();

/** What stands between a request's handler and its connection; undefined where the route has no interceptors. */
export function interceptedOf(request: AnyRequest): InterceptedSource | undefined {
  return intercepted.get(rawOf(request));
}

/** Comes before all interceptors of a feed: what they make of the handler's Observable goes to the connection, instead of Nest. */
const outermost: NestInterceptor = {
  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    if (!feedHandlers.has(context.getHandler())) return next.handle();
    const http = context.switchToHttp();
    const request = rawOf(http.getRequest<AnyRequest>());
    const response = rawOf(http.getResponse<AnyResponse>());
    if (intercepted.has(request)) return next.handle();
    return defer(async () => {
      const source = new InterceptedSource(next.handle());
      intercepted.set(request, source);
      await source.opened;
      if (source.isAnswered || response.headersSent) return;
      throw new Error(
        `An interceptor answered in place of ${context.getHandler().name}(), and no feed was opened that could send its answer`,
      );
    });
  },
};

/**
 * Puts `outermost` before the interceptors of feeds. Routes without interceptors stay without: Nest then has less to do. Where there are
 * global ones, the first of them is replaced, so that other routes have no more than before.
 */
@Injectable()
export class FeedInterceptors {
  constructor(
    private readonly routes: FeedRoutes,
    private readonly module: ModuleRef,
  ) {}

  /** All interceptors are known, and no route is registered yet. */
  install(): void {
    const config = configOf(this.module);
    const [first] = config.getGlobalInterceptors();
    let isGlobal = first !== undefined;
    for (const { controller, handler } of this.routes.all()) {
      feedHandlers.add(handler);
      appendGuard(handler);
      if (isGlobal) continue;
      if (config.getGlobalRequestInterceptors().length > 0) {
        config.addGlobalInterceptor(outermost);
        isGlobal = true;
      } else prepend(Reflect.hasMetadata(INTERCEPTORS, controller) ? controller : handler);
    }
    if (first && first !== outermost) config.getGlobalInterceptors()[0] = withOutermost(first);
  }
}

function withOutermost(first: NestInterceptor): NestInterceptor {
  const intercept: NestInterceptor['intercept'] = (context, next) =>
    feedHandlers.has(context.getHandler())
      ? outermost.intercept(context, { handle: () => defer(async () => first.intercept(context, next)).pipe(mergeAll()) })
      : first.intercept(context, next);
  return Object.create(first, { intercept: { value: intercept } });
}

function prepend(target: object): void {
  const interceptors: unknown[] | undefined = Reflect.getMetadata(INTERCEPTORS, target);
  if (!interceptors?.length || interceptors.includes(outermost)) return;
  Reflect.defineMetadata(INTERCEPTORS, [outermost, ...interceptors], target);
}

/** The last of all guards, which may look for the feed's own parameters themselves. */
function appendGuard(handler: object): void {
  const guard: unknown = Reflect.getMetadata(FEED_LAST_GUARD, handler);
  const guards: unknown[] = Reflect.getMetadata(GUARDS, handler) ?? [];
  if (guard && !guards.includes(guard)) Reflect.defineMetadata(GUARDS, [...guards, guard], handler);
}

/** Nest injects it nowhere. */
function configOf(module: ModuleRef): ApplicationConfig {
  return (module as unknown as { container: { applicationConfig: ApplicationConfig } }).container.applicationConfig;
}

/** Nest's metadata keys, read from a class of our own: Nest exports the decorators, not the keys. */
const INTERCEPTORS = keyOf(UseInterceptors(outermost));
const GUARDS = keyOf(UseGuards(lastGuard([])));

function keyOf(decorate: ClassDecorator): string {
  class Probe {}
  decorate(Probe);
  return Reflect.getMetadataKeys(Probe)[0] as string;
}
