import { Server } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type BeforeApplicationShutdown,
  Inject,
  Injectable,
  Logger,
  type OnApplicationBootstrap,
  type OnApplicationShutdown,
  type OnModuleInit,
} from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { Revocations } from './auth/revocations.js';
import { Broker } from './broker/broker.js';
import { Nodes } from './cluster/nodes.js';
import { PresenceAnnouncer } from './cluster/presence/presence-announcer.js';
import { Registry } from './connection/registry.js';
import { FEED_OPTIONS, type ResolvedFeedOptions } from './feed.options.js';
import { FeedRoutes } from './http/feed-routes.js';
import { Admission } from './limits/admission.js';
import { roomForSockets } from './limits/open-files.js';
import { Runs } from './run/runs.js';
import { Handover } from './transport/handover.js';
import { ServerSockets } from './transport/server-sockets.js';

/** How often a shutdown checks whether all clients have left, in milliseconds. */
const drainStepMs = 10;

/** How often it checks once all have been cut; a connection that is still being opened has nothing to cut yet. */
const mostLateSteps = 20;

/** How long a start waits for the revoked tokens, in milliseconds. */
const revocationsMs = 1000;
/** How long a shutdown waits until the other nodes know that its connections have ended, in milliseconds. */
const leaveMs = 1000;

/** The part of the drain time in which feeds are ended; the rest is for their clients to read the end. */
const spreadShare = 0.6;

/** The life of the module in its application: prepares the server at the start, and drains the feeds at the end. */
@Injectable()
export class FeedLifecycle implements OnModuleInit, OnApplicationBootstrap, BeforeApplicationShutdown, OnApplicationShutdown {
  /** Whether the service is shutting down: it still takes connections during `lameDuckMs`, but is not ready any more. */
  isDraining = false;
  private readonly logger = new Logger('FeedModule');
  private handover: Handover | undefined;
  private sockets: ServerSockets | undefined;

  constructor(
    @Inject(FEED_OPTIONS) private readonly options: ResolvedFeedOptions,
    private readonly broker: Broker,
    private readonly registry: Registry,
    private readonly admission: Admission,
    private readonly nodes: Nodes,
    private readonly runs: Runs,
    private readonly revocations: Revocations,
    private readonly routes: FeedRoutes,
    private readonly adapters: HttpAdapterHost,
    @Inject(PresenceAnnouncer) private readonly presence: PresenceAnnouncer | undefined,
  ) {}

  /** The server exists, and does not listen yet. */
  onModuleInit(): void {
    const server: unknown = this.adapters.httpAdapter?.getHttpServer();
    if (server instanceof Server) this.sockets = new ServerSockets(server, roomForSockets(), () => this.registry.streams);
    if (!this.options.handover) return;
    this.handover = Handover.install(server, {
      targets: this.routes.targets(),
      queue: this.admission.openQueue,
      refuse: () => this.admission.refuse(),
      warn: (text) => this.logger.warn(text),
    });
  }

  async onApplicationBootstrap(): Promise<void> {
    this.nodes.listen({ onMissed: () => void this.revocations.read() });
    this.nodes.start();
    this.presence?.start();
    this.runs.start();
    // Where the server is unavailable, the application starts all the same.
    await Promise.race([this.revocations.read(), sleep(revocationsMs, undefined, { ref: false })]);
  }

  /**
   * Ends every feed, so that the server's `close()`, which waits for open responses, can finish: after `lameDuckMs`, in which load
   * balancers see that the service is not ready any more, one after the other, so that clients do not all reconnect at once. A client
   * that does not read the end of its feed within the drain time is cut.
   */
  async beforeApplicationShutdown(): Promise<void> {
    const { registry } = this;
    const { drainMs, lameDuckMs } = this.options;
    const begun = performance.now();
    this.isDraining = true;
    this.logger.log(`Shutting down: ${registry.size} open connections, ${drainMs} ms at most`);
    await sleep(lameDuckMs);
    this.admission.isDraining = true;
    this.handover?.close();
    this.sockets?.close();
    const left = () => Math.max(0, drainMs - (performance.now() - begun));
    setTimeout(() => this.sockets?.shutDown(), left()).unref();
    await registry.drain(left() * spreadShare);
    while (registry.size > 0 && left() > 0) await sleep(drainStepMs);
    await this.runs.stop();
    registry.destroy();
    // A socket that is destroyed is closed, and counted, a turn of the event loop later.
    for (let n = 0; registry.size > 0 && n < mostLateSteps; n += 1) await sleep(drainStepMs);
    await this.presence?.stop(leaveMs);
    this.logger.log(`All connections have ended after ${Math.round(performance.now() - begun)} ms`);
  }

  async onApplicationShutdown(): Promise<void> {
    this.revocations.stop();
    await this.nodes.stop();
    await this.broker.close();
  }
}
