import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Broker, MessageSink } from '../broker/broker.js';
import type { StoredMessage } from '../message/message.js';
import type { FeedCounts } from '../stats/counts.js';

/** The feed on which nodes announce themselves. No client can follow it or publish to it: the id of a feed has no `$`. */
export const nodesFeed = '$nodes';

/** How often a node announces itself, in milliseconds. */
const periodMs = 2000;
/** How many periods a node may miss until it counts as gone. */
const missedPeriods = 3;
/** How long a node that leaves waits until the others have been told, in milliseconds. */
const farewellMs = 300;

/** What a node knows of its connections, and its name. */
export interface NodeCounts extends FeedCounts {
  name: string;
}

interface Announcement {
  /** Which process it is, also where two have the same name. */
  id: string;
  /** Missing from a node that leaves. */
  node?: NodeCounts;
}

interface Neighbour {
  node: NodeCounts;
  /** When it was heard last, by this process's clock. */
  heardAt: number;
}

/** The processes that share a broker: tells them what this one holds, and knows what they hold. With a broker of its own there is this one alone. */
export class Nodes implements MessageSink {
  private readonly id = randomUUID();
  private readonly neighbours = new Map<string, Neighbour>();
  private timer: NodeJS.Timeout | undefined;
  private isAnnouncing = false;

  /** @param counts what this process holds just now */
  constructor(
    private readonly broker: Broker,
    readonly name: string,
    private readonly counts: () => FeedCounts,
    private readonly period = periodMs,
  ) {}

  /** Begins to announce and to listen, where there is anybody else. */
  start(): void {
    if (this.broker.name === 'memory') return;
    // Where this fails, it is followed from the time on when the engine is back.
    this.broker.subscribe(nodesFeed, this)?.catch(() => {});
    this.timer = setInterval(() => void this.announce(), this.period).unref();
    void this.announce();
  }

  /** All that live, this one first: it as it is, the others as they announced themselves last. */
  all(): NodeCounts[] {
    this.forget();
    const others = [...this.neighbours.values()].map(({ node }) => node).sort((a, b) => (a.name < b.name ? -1 : 1));
    return [this.own(), ...others];
  }

  /** Takes its leave. */
  async stop(): Promise<void> {
    if (!this.timer) return;
    clearInterval(this.timer);
    this.timer = undefined;
    this.broker.unsubscribe(nodesFeed);
    if (this.broker.unavailableSince !== undefined) return;
    const toldAll = this.publish({ id: this.id }).catch(() => {});
    await Promise.race([toldAll, sleep(farewellMs, undefined, { ref: false })]);
  }

  next({ text }: StoredMessage): void {
    const announcement = announcementOf(text);
    if (!announcement || announcement.id === this.id) return;
    const { id, node } = announcement;
    if (node) this.neighbours.set(id, { node, heardAt: performance.now() });
    else this.neighbours.delete(id);
  }

  /** What came before says nothing any more. */
  lost(): void {}

  /** Lets go of those that have not been heard of lately. */
  private forget(): void {
    const oldest = performance.now() - this.period * missedPeriods;
    for (const [id, { heardAt }] of this.neighbours) if (heardAt < oldest) this.neighbours.delete(id);
  }

  private own(): NodeCounts {
    return { name: this.name, ...this.counts() };
  }

  /** What fails now is said again in the next period. An engine that has refused something shows so that it takes it again. */
  private async announce(): Promise<void> {
    this.forget();
    if (this.isAnnouncing) return;
    this.isAnnouncing = true;
    await this.publish({ id: this.id, node: this.own() }).catch(() => {});
    this.isAnnouncing = false;
  }

  private async publish(announcement: Announcement): Promise<void> {
    await this.broker.publish(nodesFeed, { type: undefined, text: JSON.stringify(announcement), isJson: true });
  }
}

/** Undefined for what is none: who can reach the engine can also put something else there. */
function announcementOf(text: string): Announcement | undefined {
  try {
    const announcement = JSON.parse(text);
    const { id, node } = announcement;
    return typeof id === 'string' && (node === undefined || typeof node?.name === 'string') ? announcement : undefined;
  } catch {
    return undefined;
  }
}
