import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Broker, MessageSink } from '../broker/broker.js';
import { intervalFactor } from '../broker/interval-factor.js';
import type { StoredMessage } from '../message/message.js';
import { type NodeMessage, parseNodeMessage } from './node-message.js';

/** The feed on which a node speaks to all others. No client can follow it or publish to it: no feed id has a `$`. */
export const nodesFeed = '$nodes';

/** The feed on which others speak to one node. */
function feedOf(id: string): string {
  return `${nodesFeed}/${id}`;
}

/** How often a node sends a heartbeat, in milliseconds, where there are few nodes. */
const periodMs = 2000;
/** Beyond so many nodes it sends fewer: each of them then hears as many heartbeats as before, however many nodes there are. */
const fewNodes = 4;
/**
 * The part of its period after which a node sends its heartbeat as soon as it hears another one. Before that, it waits for a whole period from
 * there. So all come to send theirs, and to hear all, within some milliseconds: a process that is woken once for many messages does a fraction
 * of the work of one that is woken for each. Nodes that know of more others have longer periods: an eighth more or less keeps in step.
 */
const joinsAfter = 0.75;
/**
 * How many of its own heartbeats a node hears without another one, which is lost at the next: where there are few nodes, and where there are
 * many. One that waits for the others to send its own in step with them may miss two.
 */
const mostMissed = { few: 4, many: 3 };
/** How long a node that leaves waits until that is published, in milliseconds. */
const leaveMs = 300;

/** How many other nodes are known at a time: any program that can reach the server can speak as some. */
const mostNodes = 999;

/** Another process that shares the broker. */
export interface Peer {
  /** Identifies the process, also where several nodes have the same name. */
  readonly id: string;
  readonly name: string;
}

/** Hears of the other nodes. */
export interface NodesListener {
  onJoined?(peer: Peer): void;
  /** The node has left in good order, or has not been heard for so long that it counts as lost. */
  onGone?(peer: Peer, isLost: boolean): void;
  /** This node may have missed what others said. */
  onMissed?(): void;
  /** This node has heard its own heartbeat. */
  onHeartbeat?(): void;
  /** Another node, or this one, says something else than that it is there. */
  onMessage?(kind: string, message: NodeMessage): void;
}

interface KnownPeer extends Peer {
  /** How many heartbeats of this node have been heard since the last one of the other. */
  missed: number;
}

/**
 * The processes that share a broker. Each sends heartbeats on one feed, and hears its own among those of the others: a node that is silent
 * while this one hears itself is lost. So neither an outage of the server nor a halt of this process makes others look lost.
 *
 * Without a shared broker, this node is the only one.
 */
export class Nodes implements MessageSink {
  readonly id = randomUUID();
  readonly isShared: boolean;
  private readonly peers = new Map<string, KnownPeer>();
  /** By the text of its heartbeat, which is always the same: hearing one costs no more than finding it here. */
  private readonly byHeartbeat = new Map<string, KnownPeer>();
  private readonly heartbeat: string;
  private readonly listeners: NodesListener[] = [];
  private readonly inbox: MessageSink = { next: (message) => this.receive(message), lost: () => this.lost() };
  private timer: NodeJS.Timeout | undefined;
  private isSending = false;
  /** When this node sends its heartbeat as soon as it hears another one, by `performance.now()`. */
  private joinsAt = Number.POSITIVE_INFINITY;
  private hasWarned = false;

  /** @param warn called for the first message that cannot be read */
  constructor(
    private readonly broker: Broker,
    readonly name: string,
    private readonly warn: (message: string) => void,
    private readonly period = periodMs,
  ) {
    this.isShared = broker.name !== 'memory';
    this.heartbeat = JSON.stringify({ id: this.id, node: name });
  }

  /** Has a listener told of what is heard from now on. */
  listen(listener: NodesListener): void {
    this.listeners.push(listener);
  }

  /** Begins to send heartbeats and to listen, unless the broker is this process's own. */
  start(): void {
    if (!this.isShared) return;
    // Where this fails, the broker subscribes once its server is available.
    for (const [feed, sink] of [
      [feedOf(this.id), this.inbox],
      [nodesFeed, this],
    ] as const)
      this.broker.subscribe(feed, sink)?.catch(() => {});
    this.beat();
  }

  /** The other nodes, by name. */
  others(): Peer[] {
    return [...this.peers.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** Whether another node is there. */
  has(id: string): boolean {
    return this.peers.has(id);
  }

  /** Tells the others that this node leaves. */
  async stop(): Promise<void> {
    if (!this.timer) return;
    clearTimeout(this.timer);
    this.timer = undefined;
    for (const feed of [nodesFeed, feedOf(this.id)]) this.broker.unsubscribe(feed);
    if (this.broker.unavailableSince !== undefined) return;
    const left = this.publish(nodesFeed, 'left', this.heartbeat).catch(() => {});
    await Promise.race([left, sleep(leaveMs, undefined, { ref: false })]);
  }

  /**
   * Says something to one node, or to all, this one included.
   *
   * @param kind what listeners tell it by: neither `heartbeat` nor `left`
   * @throws what the broker fails with
   */
  async tell(kind: string, content: object, to?: string): Promise<void> {
    await this.publish(to === undefined ? nodesFeed : feedOf(to), kind, JSON.stringify({ id: this.id, node: this.name, ...content }));
  }

  next(message: StoredMessage): void {
    const { type, text } = message;
    if (type !== 'heartbeat') this.receive(message);
    else if (text === this.heartbeat) this.hearSelf();
    else {
      this.hear(text, () => this.greet(text));
      if (performance.now() > this.joinsAt) this.beat();
      else this.timer?.refresh();
    }
  }

  /** The others are heard of again. */
  lost(): void {
    for (const listener of this.listeners) listener.onMissed?.();
  }

  /** What is said to this node alone, or to all. */
  private receive({ type = '', text }: StoredMessage): void {
    if (type === 'heartbeat') {
      this.hear(text);
      return;
    }
    const message = this.parse(text);
    if (!message) return;
    if (type === 'left') this.remove(message.id, false);
    else for (const listener of this.listeners) listener.onMessage?.(type, message);
  }

  private hear(text: string, onNew?: () => void): void {
    const known = this.byHeartbeat.get(text);
    if (known) {
      known.missed = 0;
      return;
    }
    const message = this.parse(text);
    if (!message || message.id === this.id || this.peers.has(message.id) || this.peers.size >= mostNodes) return;
    const peer = { id: message.id, name: message.node, missed: 0 };
    this.peers.set(peer.id, peer);
    this.byHeartbeat.set(text, peer);
    for (const listener of this.listeners) listener.onJoined?.(peer);
    onNew?.();
  }

  private hearSelf(): void {
    const most = this.periodFactor === 1 ? mostMissed.few : mostMissed.many;
    for (const peer of this.peers.values()) {
      peer.missed += 1;
      if (peer.missed > most) this.remove(peer.id, true);
    }
    for (const listener of this.listeners) listener.onHeartbeat?.();
  }

  private remove(id: string, isLost: boolean): void {
    const peer = this.peers.get(id);
    if (!peer) return;
    this.peers.delete(id);
    for (const [text, known] of this.byHeartbeat) if (known === peer) this.byHeartbeat.delete(text);
    for (const listener of this.listeners) listener.onGone?.(peer, isLost);
  }

  private get periodFactor(): number {
    return intervalFactor(this.peers.size + 1, fewNodes);
  }

  private parse(text: string): NodeMessage | undefined {
    const message = parseNodeMessage(text);
    if (!message && !this.hasWarned) {
      this.warn(`Ignored a malformed message on the feed ${nodesFeed}`);
      this.hasWarned = true;
    }
    return message;
  }

  /** Tells a node that has just been heard for the first time that this one is there: it alone, since the others know. */
  private greet(heartbeat: string): void {
    const peer = this.byHeartbeat.get(heartbeat);
    if (peer) this.publish(feedOf(peer.id), 'heartbeat', this.heartbeat).catch(() => {}); // it hears the next one
  }

  /** What fails is sent again in the next period. A server that has rejected messages is found to take them again by this. */
  private beat(): void {
    const period = this.period * this.periodFactor;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.beat(), period).unref();
    this.joinsAt = performance.now() + period * joinsAfter;
    if (this.isSending) return;
    this.isSending = true;
    this.publish(nodesFeed, 'heartbeat', this.heartbeat)
      .catch(() => {})
      .finally(() => {
        this.isSending = false;
      });
  }

  private async publish(feed: string, type: string, text: string): Promise<void> {
    await this.broker.publish(feed, { type, text, isJson: true });
  }
}
