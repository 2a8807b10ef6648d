import { ConfigurableModuleBuilder, type DynamicModule, Logger, Module, type NestModule } from '@nestjs/common';
import { DiscoveryModule, ModulesContainer } from '@nestjs/core';
import { AUTH_OPTIONS } from './auth/auth.options.js';
import { FeedAuthGuard } from './auth/feed-auth.guard.js';
import { FeedTokenService } from './auth/feed-token.service.js';
import { Revocations } from './auth/revocations.js';
import { Broker } from './broker/broker.js';
import { Control } from './cluster/control.js';
import { Leases } from './cluster/leases.js';
import { Nodes } from './cluster/nodes.js';
import type { Connection } from './connection/connection.js';
import { FeedAnswerer } from './connection/feed-answerer.js';
import { FeedOpener } from './connection/feed-opener.js';
import { Registry } from './connection/registry.js';
import { FeedModuleDuplicateError } from './errors/feed-options.error.js';
import { FeedControl } from './feed.control.js';
import { feedControllerAt } from './feed.controller.js';
import { FeedDirectory } from './feed.directory.js';
import { FeedInterceptors } from './feed.interceptors.js';
import { FeedLifecycle } from './feed.lifecycle.js';
import { FEED_OPTIONS, type FeedModuleExtras, type FeedOptions, type ResolvedFeedOptions, resolveFeedOptions } from './feed.options.js';
import { FeedService } from './feed.service.js';
import { decorated } from './http/decorated.js';
import { FeedRoutes } from './http/feed-routes.js';
import { Admission } from './limits/admission.js';
import { Publisher } from './pubsub/publisher.js';
import { Router } from './pubsub/router.js';
import { Snapshots } from './pubsub/snapshots.js';
import { Runs } from './run/runs.js';

/** Injects where the built-in routes are. */
const FEED_EXTRAS = Symbol('FEED_EXTRAS');

/** `MODULE_OPTIONS_TOKEN` has the options as the application gave them, `FEED_OPTIONS` the resolved ones. */
const { ConfigurableModuleClass, MODULE_OPTIONS_TOKEN } = new ConfigurableModuleBuilder<FeedOptions>({ moduleName: 'Feed' })
  .setClassMethodName('forRoot')
  .setExtras<FeedModuleExtras>({ path: undefined, guards: undefined, decorators: undefined, isGlobal: true }, (definition, extras) => {
    const { path, guards = [FeedAuthGuard], decorators = [], isGlobal = true } = extras;
    return {
      ...definition,
      global: isGlobal,
      controllers: path === undefined ? [] : [decorated(feedControllerAt(path, guards), decorators)],
      providers: [...(definition.providers ?? []), { provide: FEED_EXTRAS, useValue: extras }],
    };
  })
  .build();

/** Feeds for a Nest application. Import it once, with `forRoot()` or `forRootAsync()`. */
@Module({
  imports: [DiscoveryModule],
  providers: [
    FeedService,
    FeedTokenService,
    FeedControl,
    FeedDirectory,
    FeedLifecycle,
    FeedRoutes,
    FeedInterceptors,
    { provide: FEED_OPTIONS, inject: [MODULE_OPTIONS_TOKEN, FEED_EXTRAS], useFactory: resolveFeedOptions },
    { provide: AUTH_OPTIONS, useExisting: FEED_OPTIONS },
    { provide: Broker, inject: [FEED_OPTIONS], useFactory: makeBroker },
    { provide: Revocations, inject: [Broker], useFactory: makeRevocations },
    { provide: Admission, inject: [FEED_OPTIONS, Revocations], useFactory: makeAdmission },
    { provide: Publisher, inject: [Broker, FEED_OPTIONS], useFactory: makePublisher },
    { provide: Registry, inject: [FEED_OPTIONS, Broker, Admission], useFactory: makeRegistry },
    { provide: Router, inject: [Registry], useFactory: ({ router }: Registry) => router },
    { provide: FeedOpener, inject: [Admission, Registry, Router], useFactory: makeOpener },
    { provide: Leases, inject: [Broker], useFactory: (broker: Broker) => new Leases(broker) },
    { provide: Runs, inject: [FEED_OPTIONS, Broker, Leases, Publisher, Router], useFactory: makeRuns },
    { provide: FeedAnswerer, inject: [FEED_OPTIONS, Broker, Admission, Registry], useFactory: makeAnswerer },
    { provide: Nodes, inject: [FEED_OPTIONS, Broker], useFactory: makeNodes },
    { provide: Control, inject: [Nodes], useFactory: makeControl },
  ],
  exports: [FeedService, FeedTokenService, FeedOpener, Runs, Revocations, FEED_OPTIONS, AUTH_OPTIONS],
})
export class FeedModule extends ConfigurableModuleClass implements NestModule {
  /** @throws FeedModuleDuplicateError when the application imports the module more than once */
  constructor(
    modules: ModulesContainer,
    private readonly interceptors: FeedInterceptors,
  ) {
    super();
    const imported = [...modules.values()].filter(({ metatype }) => metatype === FeedModule);
    if (imported.length > 1) throw new FeedModuleDuplicateError();
  }

  /** Nest asks for middleware after the application has named its interceptors, and before it makes the routes. */
  configure(): void {
    this.interceptors.install();
  }

  static override forRoot(options: Parameters<typeof ConfigurableModuleClass.forRoot>[0] = {}): DynamicModule {
    return super.forRoot(options);
  }
}

function makeBroker(options: ResolvedFeedOptions): Broker | Promise<Broker> {
  const logger = new Logger(FeedModule.name);
  const { retention } = options.rules;
  return options.broker({ ...options, retention, log: (message) => logger.warn(message) });
}

function makeRevocations(broker: Broker): Revocations {
  const logger = new Logger(FeedModule.name);
  return new Revocations(broker, (error) =>
    logger.error(`The revoked tokens cannot be read; until they are, all tokens are rejected: ${textOf(error)}`),
  );
}

function makeAdmission(options: ResolvedFeedOptions, revocations: Revocations): Admission {
  return new Admission(options, revocations);
}

function makePublisher(broker: Broker, { rules, feeds }: ResolvedFeedOptions): Publisher {
  return new Publisher(broker, rules, feeds);
}

function makeRegistry(options: ResolvedFeedOptions, broker: Broker, admission: Admission): Registry {
  const logger = new Logger(FeedService.name);
  const snapshots = new Snapshots(options.serialize, (feed, error) =>
    logger.error(`The snapshot of feed "${feed}" failed: ${textOf(error)}`),
  );
  // Half of what a connection may hold is for the page of history that it is sent, half for what comes meanwhile.
  const router = new Router(broker, options.rules, snapshots, options.bufferBytes / 2, (feed, hasSubscribers) =>
    registry.onPresence(feed, hasSubscribers),
  );
  const onFailed = ({ feeds }: Connection, error: unknown) =>
    logger.error(`The source of feed "${feeds.join(', ')}" failed: ${textOf(error)}`);
  const registry = new Registry(options, router, admission, onFailed, logger);
  return registry;
}

function textOf(error: unknown): string | undefined {
  return error instanceof Error ? error.stack : String(error);
}

function makeOpener(admission: Admission, registry: Registry, router: Router): FeedOpener {
  return new FeedOpener(admission, registry, router);
}

function makeRuns({ serialize, feeds }: ResolvedFeedOptions, broker: Broker, leases: Leases, publisher: Publisher, router: Router): Runs {
  const logger = new Logger(FeedService.name);
  return new Runs({ broker, leases, serialize, definitions: feeds }, publisher, router, (feed, error) => {
    logger.error(`The run of feed "${feed}" failed: ${error instanceof Error ? error.stack : String(error)}`);
  });
}

function makeAnswerer({ stallMs }: ResolvedFeedOptions, broker: Broker, admission: Admission, registry: Registry): FeedAnswerer {
  return new FeedAnswerer(broker, admission, registry, stallMs);
}

function makeNodes({ nodeName }: ResolvedFeedOptions, broker: Broker): Nodes {
  const logger = new Logger(FeedModule.name);
  return new Nodes(broker, nodeName, (message) => logger.warn(message));
}

function makeControl(nodes: Nodes): Control {
  const logger = new Logger(FeedModule.name);
  return new Control(nodes, (command, error) => logger.error(`The command "${command}" of another node failed: ${textOf(error)}`));
}
