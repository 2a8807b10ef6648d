import { ConfigurableModuleBuilder, type DynamicModule, Logger, Module, type NestModule } from '@nestjs/common';
import { DiscoveryModule, ModulesContainer } from '@nestjs/core';
import { AUTH_OPTIONS } from './auth/auth.options.js';
import { Authenticator } from './auth/authenticator.js';
import { FeedAuthGuard } from './auth/feed-auth.guard.js';
import { FeedTokenService } from './auth/feed-token.service.js';
import { Revocations } from './auth/revocations.js';
import { Tickets } from './auth/tickets.js';
import { Broker } from './broker/broker.js';
import { Leases } from './cluster/leases.js';
import { NodeQueries } from './cluster/node-queries.js';
import { Nodes } from './cluster/nodes.js';
import { PresenceAnnouncer } from './cluster/presence/presence-announcer.js';
import type { Connection } from './connection/connection.js';
import { Encoders } from './connection/encoders.js';
import { FeedAnswerer } from './connection/feed-answerer.js';
import { FeedOpener } from './connection/feed-opener.js';
import { PresenceTracker } from './connection/presence-tracker.js';
import { Registry } from './connection/registry.js';
import { TracedOpener } from './connection/traced-opener.js';
import { errorText } from './errors/error-text.js';
import { FeedModuleDuplicateError } from './errors/feed-options.error.js';
import { FeedControl } from './feed.control.js';
import { feedControllerAt } from './feed.controller.js';
import { FeedDirectory } from './feed.directory.js';
import { FeedInterceptors } from './feed.interceptors.js';
import { FeedLifecycle } from './feed.lifecycle.js';
import { FEED_OPTIONS, type FeedModuleExtras, type FeedOptions, type ResolvedFeedOptions, resolveFeedOptions } from './feed.options.js';
import { FeedPresence } from './feed.presence.js';
import { FeedService } from './feed.service.js';
import { ticketControllerAt } from './feed.tickets.js';
import { decorated } from './http/decorated.js';
import { FeedRoutes } from './http/feed-routes.js';
import { Admission } from './limits/admission.js';
import { PublishLimits } from './limits/publish-limits.js';
import { serialiserBy } from './message/content.js';
import { MessagePublisher } from './pubsub/message-publisher.js';
import { Router } from './pubsub/router.js';
import { Snapshots } from './pubsub/snapshots.js';
import { Runs } from './run/runs.js';
import { Measures } from './stats/measures.js';
import { Destinations } from './tracing/destinations.js';
import { TracedBroker } from './tracing/traced-broker.js';

/** Injects where the built-in routes are. */
const FEED_EXTRAS = Symbol('FEED_EXTRAS');

const noExtras: FeedModuleExtras = { path: undefined, guards: undefined, tickets: undefined, decorators: undefined, isGlobal: true };

/** `MODULE_OPTIONS_TOKEN` has the options as the application gave them, `FEED_OPTIONS` the resolved ones. */
const { ConfigurableModuleClass, MODULE_OPTIONS_TOKEN } = new ConfigurableModuleBuilder<FeedOptions>({ moduleName: 'Feed' })
  .setClassMethodName('forRoot')
  .setExtras<FeedModuleExtras>(noExtras, (definition, extras) => {
    const { path, guards = [FeedAuthGuard], tickets, decorators = [], isGlobal = true } = extras;
    const controllers = [
      ...(path === undefined ? [] : [feedControllerAt(path, guards)]),
      ...(tickets ? [ticketControllerAt(tickets === true ? 'tickets' : tickets)] : []),
    ];
    return {
      ...definition,
      global: isGlobal,
      controllers: controllers.map((controller) => decorated(controller, decorators)),
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
    FeedPresence,
    FeedDirectory,
    FeedLifecycle,
    FeedRoutes,
    FeedInterceptors,
    { provide: FEED_OPTIONS, inject: [MODULE_OPTIONS_TOKEN, FEED_EXTRAS], useFactory: resolveFeedOptions },
    { provide: AUTH_OPTIONS, useExisting: FEED_OPTIONS },
    { provide: Authenticator, inject: [FEED_OPTIONS, Broker, Revocations], useFactory: makeAuthenticator },
    { provide: Broker, inject: [FEED_OPTIONS], useFactory: makeBroker },
    { provide: Revocations, inject: [Broker], useFactory: makeRevocations },
    { provide: Admission, inject: [FEED_OPTIONS, Revocations], useFactory: makeAdmission },
    { provide: PublishLimits, inject: [FEED_OPTIONS, Admission], useFactory: makePublishLimits },
    { provide: MessagePublisher, inject: [Broker, FEED_OPTIONS, Admission], useFactory: makePublisher },
    { provide: Measures, inject: [FEED_OPTIONS], useFactory: makeMeasures },
    { provide: Registry, inject: [FEED_OPTIONS, Broker, Admission, Measures, Nodes], useFactory: makeRegistry },
    { provide: Router, inject: [Registry], useFactory: ({ router }: Registry) => router },
    { provide: FeedOpener, inject: [FEED_OPTIONS, Admission, Registry, Router], useFactory: makeOpener },
    { provide: Leases, inject: [Broker], useFactory: (broker: Broker) => new Leases(broker) },
    { provide: Runs, inject: [FEED_OPTIONS, Broker, Leases, MessagePublisher, Router], useFactory: makeRuns },
    { provide: FeedAnswerer, inject: [FEED_OPTIONS, Broker, Admission, Registry], useFactory: makeAnswerer },
    { provide: Nodes, inject: [FEED_OPTIONS, Broker], useFactory: makeNodes },
    { provide: PresenceAnnouncer, inject: [FEED_OPTIONS, Broker, Nodes, Registry], useFactory: makePresence },
    { provide: NodeQueries, inject: [Nodes], useFactory: makeNodeQueries },
  ],
  exports: [FeedService, FeedTokenService, FeedOpener, Runs, Authenticator, Measures, Revocations, FEED_OPTIONS, AUTH_OPTIONS],
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

async function makeBroker(options: ResolvedFeedOptions): Promise<Broker> {
  const logger = new Logger(FeedModule.name);
  const { rules, feeds, tracer } = options;
  const broker = await options.broker({ ...options, retention: rules.retention, log: (message) => logger.warn(message) });
  return tracer ? new TracedBroker(broker, tracer, new Destinations(rules, feeds)) : broker;
}

function makeRevocations(broker: Broker): Revocations {
  const logger = new Logger(FeedModule.name);
  return new Revocations(broker, (error) =>
    logger.error(`The revoked tokens cannot be read; until they are, all tokens are rejected: ${errorText(error)}`),
  );
}

function makeAdmission(options: ResolvedFeedOptions, revocations: Revocations): Admission {
  return new Admission(options, revocations);
}

function makeAuthenticator(options: ResolvedFeedOptions, broker: Broker, revocations: Revocations): Authenticator {
  const { ticketSecrets } = options;
  return new Authenticator(options, revocations, ticketSecrets.length > 0 ? new Tickets(broker, ticketSecrets) : undefined);
}

function makePublishLimits(options: ResolvedFeedOptions, admission: Admission): PublishLimits {
  return new PublishLimits(options, admission);
}

function makePublisher(broker: Broker, { rules, feeds }: ResolvedFeedOptions, admission: Admission): MessagePublisher {
  return new MessagePublisher(broker, rules, feeds, () => admission.count('feedRate'));
}

function makeMeasures({ rules }: ResolvedFeedOptions): Measures {
  return new Measures(Object.keys(rules.rules), (feed) => rules.patternOf(feed));
}

function makeRegistry(options: ResolvedFeedOptions, broker: Broker, admission: Admission, measures: Measures, nodes: Nodes): Registry {
  const logger = new Logger(FeedService.name);
  const snapshots = new Snapshots(serialiserBy(options.serialize), (feed, error) =>
    logger.error(`The snapshot of feed "${feed}" failed: ${errorText(error)}`),
  );
  // Half of what a connection may hold is for the page of history that it is sent, half for what comes meanwhile.
  const router = new Router(broker, options.rules, snapshots, measures, options.bufferBytes / 2, (feed, hasSubscribers) =>
    registry.onPresence(feed, hasSubscribers),
  );
  const onFailed = ({ feeds }: Connection, error: unknown) =>
    logger.error(`The source of feed "${feeds.join(', ')}" failed: ${errorText(error)}`);
  const registry = new Registry({ ...options, process: nodes.id }, router, admission, onFailed, logger);
  return registry;
}

function makeOpener(
  { rules, feeds, tracer, compress }: ResolvedFeedOptions,
  admission: Admission,
  registry: Registry,
  router: Router,
): FeedOpener {
  const encoders = new Encoders(compress);
  if (!tracer) return new FeedOpener(admission, registry, router, encoders);
  return new TracedOpener(tracer, new Destinations(rules, feeds), admission, registry, router, encoders);
}

function makeRuns(
  { serialize, feeds }: ResolvedFeedOptions,
  broker: Broker,
  leases: Leases,
  publisher: MessagePublisher,
  router: Router,
): Runs {
  const logger = new Logger(FeedService.name);
  return new Runs({ broker, leases, serialise: serialiserBy(serialize), definitions: feeds }, publisher, router, (feed, error) => {
    logger.error(`The run of feed "${feed}" failed: ${errorText(error)}`);
  });
}

function makeAnswerer({ stallMs }: ResolvedFeedOptions, broker: Broker, admission: Admission, registry: Registry): FeedAnswerer {
  return new FeedAnswerer(broker, admission, registry, stallMs);
}

function makeNodes({ nodeName }: ResolvedFeedOptions, broker: Broker): Nodes {
  const logger = new Logger(FeedModule.name);
  return new Nodes(broker, nodeName, (message) => logger.warn(message));
}

/** Undefined where no feed's presence is told: then nothing is kept, and nothing is said to other nodes. */
function makePresence(
  { presence, rules }: ResolvedFeedOptions,
  broker: Broker,
  nodes: Nodes,
  registry: Registry,
): PresenceAnnouncer | undefined {
  if (!presence && !rules.all.some((rule) => rule.presence)) return undefined;
  const announcer = new PresenceAnnouncer(broker, nodes, {
    onEvent: (event) => registry.events.tell(event, false),
    onRepeated: (event) => registry.events.tell(event, true),
    onReturned: (number, { feeds, subject }) => registry.events.opened(number, feeds, subject),
  });
  registry.tracker = new PresenceTracker(rules, presence, (number, member) => announcer.note(number, member));
  return announcer;
}

function makeNodeQueries(nodes: Nodes): NodeQueries {
  const logger = new Logger(FeedModule.name);
  return new NodeQueries(nodes, (command, error) => logger.error(`The command "${command}" of another node failed: ${errorText(error)}`));
}
