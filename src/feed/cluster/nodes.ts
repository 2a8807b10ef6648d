import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Broker, MessageSink } from '../broker/broker.js';
import type { StoredMessage } from '../message/message.js';
import type { FeedCounts } from '../stats/counts.js';
import { type Announcement, type NodeCounts, parseAnnouncement } from './announcement.js';

/** The feed on which nodes announce themselves. No client can follow it or publish to it: no feed id has a `$`. */
export const nodesFeed = '$nodes';

/** How often a node announces itself, in milliseconds. */
const periodMs = 2000;
/** After how many periods without an announcement a node counts as gone. */
const missedPeriods = 3;
/** How long a node that leaves waits until that is published, in milliseconds. */
const leaveMs = 300;

/** How many other nodes are known at a time: any program that can reach the server can announce some. */
const mostNodes = 999;

/** Another node. */
interface Peer {
  readonly node: NodeCounts;
  /** When its last announcement arrived, by `performance.now()`. */
  readonly announcedAt: number;
}

/** The processes that share a broker: announces the counts of this one and knows those of the others. Without a shared broker, only this one. */
export class Nodes implements MessageSink {
  private readonly id = randomUUID();
  private readonly peers = new Map<string, Peer>();
  private timer: NodeJS.Timeout | undefined;
  private isAnnouncing = false;
  private hasWarned = false;

  /**
   * @param counts returns the counts of this process
   * @param warn called for the first announcement that cannot be read
   */
  constructor(
    private readonly broker: Broker,
    readonly name: string,
    private readonly counts: () => FeedCounts,
    private readonly warn: (message: string) => void,
    private readonly period = periodMs,
  ) {}

  /** Begins to announce and to listen, unless the broker is this process's own. */
  start(): void {
    if (this.broker.name === 'memory') return;
    // Where this fails, the broker subscribes once its server is available.
    this.broker.subscribe(nodesFeed, this)?.catch(() => {});
    this.timer = setInterval(() => void this.announce(), this.period).unref();
    void this.announce();
  }

  /** All nodes: this one first, the others by name with the counts that they announced last. */
  all(): NodeCounts[] {
    this.removeSilent();
    const others = [...this.peers.values()].map(({ node }) => node).sort((a, b) => (a.name < b.name ? -1 : 1));
    return [this.own(), ...others];
  }

  /** Tells the others that this node leaves. */
  async stop(): Promise<void> {
    if (!this.timer) return;
    clearInterval(this.timer);
    this.timer = undefined;
    this.broker.unsubscribe(nodesFeed);
    if (this.broker.unavailableSince !== undefined) return;
    const published = this.publish({ id: this.id }).catch(() => {});
    await Promise.race([published, sleep(leaveMs, undefined, { ref: false })]);
  }

  next({ text }: StoredMessage): void {
    const announcement = parseAnnouncement(text);
    if (!announcement) {
      if (!this.hasWarned) this.warn('What is not an announcement of a node arrived where nodes announce themselves, and is ignored');
      this.hasWarned = true;
      return;
    }
    if (announcement.id === this.id) return;
    const { id, node } = announcement;
    if (!node) this.peers.delete(id);
    else if (this.peers.has(id) || this.peers.size < mostNodes) this.peers.set(id, { node, announcedAt: performance.now() });
  }

  /** Earlier announcements do not matter. */
  lost(): void {}

  private removeSilent(): void {
    const oldest = performance.now() - this.period * missedPeriods;
    for (const [id, { announcedAt }] of this.peers) if (announcedAt < oldest) this.peers.delete(id);
  }

  private own(): NodeCounts {
    return { name: this.name, ...this.counts() };
  }

  /** What fails is announced again in the next period. A server that has rejected messages is found to take them again by this. */
  private async announce(): Promise<void> {
    this.removeSilent();
    if (this.isAnnouncing) return;
    this.isAnnouncing = true;
    await this.publish({ id: this.id, node: this.own() }).catch(() => {});
    this.isAnnouncing = false;
  }

  private async publish(announcement: Announcement): Promise<void> {
    await this.broker.publish(nodesFeed, { type: undefined, text: JSON.stringify(announcement), isJson: true });
  }
}
