import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises';
import type { Engine } from '../../../tools/engines.mjs';
import type { BrokerKind } from '../brokers.js';
import type { Platform } from '../serve.js';
import { until } from '../until.js';
import { faultsOf, faultsOfEnd } from './checks.js';
import { ModelNode } from './node.js';
import { type Publication, Publications } from './publications.js';
import { Session, type SessionOptions } from './session.js';
import { allFeeds, clientCount, type Plan, type Step } from './steps.js';

/** Bytes of the messages that fill a client. */
const clogBytes = 16_000;
/** When its transport is full: beyond what a stream of Node's takes, and within its buffer limit. */
const fullBytes = 16_500;
/** How many of them at most. */
const clogCount = 600;
/** How many messages are published before others get a turn. */
const atOnce = 20;
/** How long a step waits for a broker that may have lost its server, in milliseconds. */
const patienceMs = 200;
/** After how long without all that was sent a client is said to have lost it, in milliseconds. */
const settleMs = 20_000;

/** What a run happens on. */
export interface Ground {
  readonly platform: Platform;
  readonly kind: BrokerKind;
  /** Undefined for memory. */
  readonly engine: Engine | undefined;
}

let worlds = 0;

/** Applications, clients and what the model knows of them, for one run. */
export class World {
  readonly faults: string[] = [];
  private readonly publications: Publications;
  /** Of each client, its sessions so far. */
  private readonly sessions: Session[][] = Array.from({ length: clientCount }, () => []);
  private readonly nodes: ModelNode[] = [];
  private readonly pending: Promise<unknown>[] = [];
  /** Whether a broker was made to fail: connections may then be refused, or end with an error. */
  private hasFaults = false;
  private readonly prefix: string;

  private constructor(
    private readonly ground: Ground,
    private readonly plan: Plan,
  ) {
    worlds += 1;
    this.publications = new Publications(ground.kind.name === 'redis');
    this.prefix = `model${process.pid}-${worlds}`;
  }

  /** Runs a plan on applications of its own; returns what was wrong. */
  static async run(ground: Ground, plan: Plan): Promise<string[]> {
    const world = new World(ground, plan);
    try {
      const count = ground.engine ? 2 : 1;
      for (let n = 0; n < count; n += 1) world.nodes.push(await world.startNode());
      for (const step of plan.steps) {
        await world.take(step);
        await turn();
      }
      await world.settle();
      for (const session of world.sessions.flat()) world.faults.push(...faultsOf(session, world.publications, world.hasFaults));
      return world.faults;
    } finally {
      for (const session of world.sessions.flat()) session.reader.leave();
      for (const { broker } of world.nodes) broker.heal();
      await Promise.all(world.nodes.map((node) => node.drain()));
    }
  }

  private startNode(): Promise<ModelNode> {
    const { platform, kind, engine } = this.ground;
    const onFault = (fault: string) => this.faults.push(fault);
    return ModelNode.start({
      platform,
      kind,
      enginePort: engine?.port,
      prefix: this.prefix,
      historyLength: this.plan.historyLength,
      onFault,
    });
  }

  private nodeOf({ node }: { node: number }): ModelNode {
    return this.nodes[node % this.nodes.length] as ModelNode;
  }

  /** A client's session, if it is open or being opened. */
  private sessionOf({ client }: { client: number }): Session | undefined {
    const session = this.sessions[client]?.at(-1);
    return session?.isClosed ? undefined : session;
  }

  private get open(): Session[] {
    return this.sessions.flatMap((_, client) => this.sessionOf({ client }) ?? []);
  }

  private async take(step: Step): Promise<void> {
    switch (step.do) {
      case 'open':
        if (!this.sessionOf(step)) await this.connect(step.client, this.nodeOf(step), { ...step, since: undefined });
        return;
      case 'comeBack':
        return this.comeBack(step.client, this.nodeOf(step));
      case 'leave':
        return this.cut(this.sessionOf(step));
      case 'pause':
        return this.pause(this.sessionOf(step));
      case 'resume':
        this.sessionOf(step)?.reader.socket.resume();
        return;
      case 'follow':
        for (const feed of step.feeds) this.pending.push(this.sessionOf(step)?.follow(feed, step.since) ?? turn());
        return;
      case 'unfollow':
        this.sessionOf(step)?.unfollow(step.feed);
        return;
      case 'publish':
        return this.publish(this.nodeOf(step), step.feed, step.count, step.bytes);
      case 'clog':
        return this.clog(this.sessionOf(step), step.feed);
      case 'endBehind':
        await this.publish(this.nodeOf(step), step.feed, 1, 10);
        return this.end(this.nodeOf(step), step.feed);
      case 'end':
        return this.end(this.nodeOf(step), step.feed);
      case 'drain':
      case 'kill':
        return this.replace(step.node % this.nodes.length, step.do);
      case 'wait':
        for (let n = 0; n < step.turns; n += 1) await turn();
        return;
      default:
        return this.fail(step);
    }
  }

  private async fail(
    step: Extract<
      Step,
      { do: 'holdReads' | 'releaseReads' | 'failReads' | 'failFollows' | 'failPublish' | 'sever' | 'cut' | 'mend' | 'restartEngine' }
    >,
  ) {
    const node = this.nodeOf(step);
    const { broker } = node;
    const { engine } = this.ground;
    if (step.do === 'holdReads') broker.holdReads();
    else if (step.do === 'releaseReads') broker.release();
    else if (step.do === 'mend') node.mend();
    else if (engine || step.do.startsWith('fail')) this.hasFaults = true;
    if (step.do === 'failReads') broker.failingReads += 3;
    if (step.do === 'failFollows') broker.failingSubscribes += 5;
    if (step.do === 'failPublish') Object.assign(broker, { failingPublishes: 3, storesFailing: step.isStored });
    if (step.do === 'sever') node.sever();
    if (step.do === 'cut') node.cut();
    if (step.do !== 'restartEngine' || !engine) return;
    await engine.kill();
    await engine.restart();
  }

  private async connect(client: number, node: ModelNode, options: SessionOptions): Promise<void> {
    const all = this.sessions[client] as Session[];
    const session = await Session.open(`own/${client}.${all.length}`, node, options, this.publications);
    all.push(session);
    for (let n = 0; n < 5 && !session.isOpen; n += 1) await turn();
  }

  /** As a client that lost its connection, with the position that it has. */
  private async comeBack(client: number, node: ModelNode): Promise<void> {
    const last = this.sessions[client]?.at(-1);
    if (last?.isClosed) await this.connect(client, node, { ...last.options, feeds: last.feeds, since: last.position });
  }

  private cut(session: Session | undefined): void {
    if (!session) return;
    session.isCutByModel = true;
    session.reader.leave();
  }

  private pause(session: Session | undefined): void {
    if (!session) return;
    session.wasPaused = true;
    session.reader.socket.pause();
  }

  private async publish(node: ModelNode, feed: string, count: number, bytes: number): Promise<void> {
    for (let n = 0; n < count; n += atOnce) {
      const some = Array.from({ length: Math.min(atOnce, count - n) }, () => this.publishOne(node, feed, bytes));
      // A broker that has lost its server may take long to answer.
      await Promise.race([Promise.all(some), ...(this.hasFaults ? [sleep(patienceMs)] : [])]);
      await turn();
    }
  }

  private publishOne(node: ModelNode, feed: string, bytes: number): Promise<Publication> {
    const publication = this.publications.begin(feed, node, bytes);
    const published = node.feeds.publish(feed, publication.text).then(
      ({ id }) => {
        publication.id = id;
        publication.ackedAt = this.publications.tick();
        return publication;
      },
      (error) => {
        if (!this.hasFaults) this.faults.push(`a message was not taken: ${error}`);
        return publication;
      },
    );
    this.pending.push(published);
    return published;
  }

  /** Has a client stop reading, and publishes to it until its transport is full. */
  private async clog(session: Session | undefined, feed: 'own' | 'fast/a'): Promise<void> {
    if (!session?.isOpen || (feed !== 'own' && !session.follows(feed))) return;
    const { node, own } = session;
    this.pause(session);
    for (let n = 0; n < clogCount && !session.isClosed && node.bufferedBytes(own) < fullBytes; n += 1) {
      await this.publish(node, feed === 'own' ? own : feed, 1, clogBytes);
      if (node.isCut) return;
    }
  }

  /** Ends those of one node: when others hear of an end is not for the model to say. */
  private end(node: ModelNode, feed: string): void {
    const at = this.publications.tick();
    for (const session of this.open) if (session.node === node && session.follows(feed)) session.endedAt ??= at;
    node.end(feed);
  }

  private async replace(n: number, how: 'drain' | 'kill'): Promise<void> {
    const node = this.nodes[n] as ModelNode;
    const at = this.publications.tick();
    const there = this.open.filter((session) => session.node === node);
    for (const session of there) {
      if (how === 'kill') session.isCutByModel = true;
      else session.endedAt ??= at;
    }
    await node[how]();
    // What a client does not read keeps its end of a closed connection open.
    for (const { reader } of there) reader.socket.resume();
    await until(() => there.every(({ isClosed }) => isClosed));
    this.nodes[n] = await this.startNode();
  }

  /** Has everything work again, all clients come back and read, and get the last message of each of their feeds. */
  private async settle(): Promise<void> {
    for (const node of this.nodes) {
      node.mend();
      node.broker.heal();
    }
    for (const { reader } of this.open) reader.socket.resume();
    for (const node of this.nodes) await until(() => node.canPublish());
    await Promise.all(this.pending);
    const clients = this.sessions.flatMap((all, client) => (all.length > 0 ? [client] : []));
    // A client without a position gets what comes after it is open.
    await Promise.all(clients.map((client) => this.isBack(client)));
    const [node] = this.nodes as [ModelNode];
    const at = this.publications.tick();
    const last = new Map<string, string>();
    for (const feed of allFeeds) last.set(feed, (await this.publishOne(node, feed, 3)).text);
    await Promise.all(clients.map((client) => this.catchUp(client, last, at)));
  }

  private async isBack(client: number): Promise<void> {
    await until(async () => {
      await this.comeBack(client, this.nodes[client % this.nodes.length] as ModelNode);
      return this.sessions[client]?.at(-1)?.isOpen ?? false;
    });
  }

  private async catchUp(client: number, last: ReadonlyMap<string, string>, at: number): Promise<void> {
    const givesUp = performance.now() + settleMs;
    await until(async () => {
      await this.comeBack(client, this.nodes[client % this.nodes.length] as ModelNode);
      const all = this.sessions[client] as Session[];
      const session = all.at(-1) as Session;
      // One that never had a position, and has come back since, cannot know what it missed.
      const isLate = session.options.since === undefined && session.begunAt > at;
      if (session.isOpen && (isLate || this.hasHad(all, session, last))) return true;
      if (all.some((each) => faultsOfEnd(each, this.hasFaults).length > 0)) return true;
      if (performance.now() < givesUp) return false;
      const { own, feeds, isOpen, isClosed, reason, lines } = session;
      const before = all.map((each) => each.reason ?? 'open');
      const state = JSON.stringify({ isOpen, isClosed, reason, before, last: JSON.stringify(lines.at(-1))?.slice(0, 80) });
      this.faults.push(`${own} of [${feeds}] does not get the last messages: ${state}`);
      return true;
    });
  }

  /** Whether a client has got the last message of each feed that it follows, on this connection or on one before. */
  private hasHad(all: readonly Session[], { feeds }: Session, last: ReadonlyMap<string, string>): boolean {
    return feeds.every((feed) => all.some(({ newest }) => newest.get(feed) === last.get(feed)));
  }
}
