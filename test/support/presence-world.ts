import { setTimeout as sleep } from 'node:timers/promises';
import type { Broker, MessageSink } from '../../src/feed/broker/broker.js';
import { MemoryBroker } from '../../src/feed/broker/memory/memory-broker.js';
import { Nodes } from '../../src/feed/cluster/nodes.js';
import { PresenceAnnouncer, presenceFeed } from '../../src/feed/cluster/presence/presence-announcer.js';
import type { SharedEvent } from '../../src/feed/cluster/presence/presence-events.js';
import { BrokerUnavailableError } from '../../src/feed/errors/broker.errors.js';
import type { StoredMessage } from '../../src/feed/message/message.js';

const bounds = { historyLength: 0, historyTtlMs: 1, historyBytes: 0, historyTotalBytes: 0, idempotencyMs: 1 };
/** How often nodes send heartbeats here, and how often they look after what is missing, in milliseconds. */
const [periodMs, tickMs] = [10, 15];

/** A server that all nodes reach, each on a path of its own. */
class Server {
  private readonly log = new MemoryBroker(bounds);
  private readonly paths = new Set<Path>();
  published = 0;
  /** The type of the messages that are acknowledged, and reach no node. */
  forgets: string | undefined = undefined;
  forgotten = 0;

  connect(path: Path): void {
    this.paths.add(path);
  }

  disconnect(path: Path): void {
    this.paths.delete(path);
  }

  async publish(...message: Parameters<Broker['publish']>): Promise<StoredMessage> {
    this.published += 1;
    const stored = await this.log.publish(...message);
    if (message[1].type === this.forgets) this.forgotten += 1;
    else for (const path of this.paths) path.deliver(stored);
    return stored;
  }
}

/** A node's way to the server. It may be cut: then what is published arrives when it is mended, or is lost. */
class Path {
  private readonly sinks = new Map<string, MessageSink>();
  private missed: StoredMessage[] | undefined = undefined;
  isDead = false;
  /** How many messages about presence come before it has subscribed to them. */
  unheard = 0;
  /** The type of the message after whose acknowledgement nothing comes any more, itself included. */
  deafAt: string | undefined = undefined;

  constructor(private server: Server) {
    server.connect(this);
  }

  /** Leads to another server from now on: what it has missed there is lost. */
  lead(server: Server): void {
    this.server.disconnect(this);
    this.server = server;
    server.connect(this);
    this.missed = undefined;
    for (const sink of this.sinks.values()) sink.lost(undefined);
  }

  get broker(): Broker {
    return Object.create(MemoryBroker.prototype, {
      name: { value: 'path' },
      unavailableSince: { get: () => (this.missed ? 1 : undefined) },
      subscribe: { value: (feed: string, sink: MessageSink) => void this.sinks.set(feed, sink) },
      unsubscribe: { value: (feed: string) => this.sinks.delete(feed) },
      publish: { value: (...message: Parameters<Broker['publish']>) => this.publish(...message) },
    }) as Broker;
  }

  deliver(message: StoredMessage): void {
    if (this.isDead) return;
    if (message.feed === presenceFeed && this.unheard > 0) {
      this.unheard -= 1;
      return;
    }
    if (this.missed) this.missed.push(message);
    else this.sinks.get(message.feed)?.next(message);
  }

  cut(): void {
    this.missed ??= [];
  }

  mend(isLost: boolean): void {
    const { missed = [] } = this;
    this.missed = undefined;
    if (isLost) for (const sink of this.sinks.values()) sink.lost(undefined);
    else for (const message of missed) this.deliver(message);
  }

  private async publish(...message: Parameters<Broker['publish']>): Promise<StoredMessage> {
    if (this.missed || this.isDead) throw new BrokerUnavailableError('cut');
    if (message[1].type === this.deafAt) this.cut();
    const stored = await this.server.publish(...message);
    if (message[1].type === this.deafAt) return stored;
    // It is stored, and its publisher does not know.
    if (this.missed || this.isDead) throw new BrokerUnavailableError('cut meanwhile');
    return stored;
  }
}

export interface Emitted {
  readonly event: SharedEvent;
  readonly by: string;
}

/** Several nodes, and what is true of them. */
export class World {
  readonly server = new Server();
  /** Where nodes are while the first one is cut off from them. */
  readonly otherServer = new Server();
  readonly nodes: WorldNode[] = [];
  readonly emitted: Emitted[] = [];
  /** The events of nodes that were lost right after. */
  readonly repeated: Emitted[] = [];

  add(name: string, unheard = 0): WorldNode {
    const node = new WorldNode(this, name, unheard);
    this.nodes.push(node);
    return node;
  }

  /** The feeds that connections follow, with their numbers. */
  get truth(): Record<string, number> {
    const counts: Record<string, number> = {};
    for (const { connections } of this.nodes)
      for (const feeds of connections.values()) for (const feed of feeds) counts[feed] = (counts[feed] ?? 0) + 1;
    return counts;
  }

  /** Whether all nodes know the truth, and have announced it. */
  get isSettled(): boolean {
    const truth = sorted(this.truth);
    return this.nodes.every(({ announcer: { ledger } }) => {
      const known = [...ledger.occupied()].map((feed) => [feed, ledger.connections(feed)] as const);
      const announced = [...(ledger.announced?.feeds ?? [])].sort();
      return sorted(Object.fromEntries(known)) === truth && JSON.stringify(announced) === JSON.stringify(Object.keys(this.truth).sort());
    });
  }

  async settles(): Promise<void> {
    const giveUpAt = performance.now() + 5000;
    while (!this.isSettled && performance.now() < giveUpAt) await sleep(5);
  }

  async end(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.end()));
  }
}

function sorted(counts: Record<string, number>): string {
  return JSON.stringify(Object.entries(counts).sort(([a], [b]) => (a < b ? -1 : 1)));
}

export class WorldNode {
  readonly path: Path;
  readonly group: Nodes;
  readonly announcer: PresenceAnnouncer;
  readonly connections = new Map<number, string[]>();
  private made = 0;

  constructor(
    private readonly world: World,
    readonly name: string,
    unheard: number,
  ) {
    this.path = new Path(world.server);
    this.path.unheard = unheard;
    const { broker } = this.path;
    this.group = new Nodes(broker, name, () => {}, periodMs);
    const onEvent = (event: SharedEvent) => world.emitted.push({ event, by: this.group.id });
    const onRepeated = (event: SharedEvent) => world.repeated.push({ event, by: this.group.id });
    const listener = { onEvent, onRepeated, onReturned() {} };
    this.announcer = new PresenceAnnouncer(broker, this.group, listener, { batchMs: 3, tickMs });
    this.group.start();
    this.announcer.start();
  }

  join(...feeds: string[]): number {
    this.made += 1;
    this.connections.set(this.made, feeds);
    this.note(this.made, feeds);
    return this.made;
  }

  follow(number: number, ...feeds: string[]): void {
    if (!this.connections.has(number)) return;
    this.connections.set(number, feeds);
    this.note(number, feeds);
  }

  leave(number: number): void {
    if (this.connections.delete(number)) this.announcer.note(number, undefined);
  }

  private note(number: number, feeds: string[]): void {
    this.announcer.note(number, feeds.length > 0 ? { feeds, since: 1, subject: feeds.length > 1 ? 'someone' : undefined } : undefined);
  }

  /** Dies: nothing of it is heard any more. */
  async kill(): Promise<void> {
    this.path.isDead = true;
    this.world.nodes.splice(this.world.nodes.indexOf(this), 1);
    await this.end();
  }

  async end(): Promise<void> {
    await this.announcer.stop(0);
    await this.group.stop();
  }
}

/** The events of a feed, with the repeated ones: each once, in the order in which it happened. */
export function emittedOf({ emitted, repeated }: World, feed: string): string[] {
  const byId = new Map<string, SharedEvent>();
  for (const { event } of [...emitted, ...repeated]) if (event.type !== 'lost' && event.feed === feed) byId.set(event.id, event);
  const version = ({ id }: SharedEvent) => Number(id.split('-')[5]);
  return [...byId.values()].sort((a, b) => version(a) - version(b)).map(({ type }) => type);
}

/** The last event of a feed, as the receiver of all nodes' webhooks gets it. */
export function lastEmitted({ emitted }: World, feed: string): string | undefined {
  return emitted.findLast(({ event }) => event.type !== 'lost' && event.feed === feed)?.event.type;
}

export const alternating = (count: number) => Array.from({ length: count }, (_, n) => (n % 2 === 0 ? 'occupied' : 'vacated'));
