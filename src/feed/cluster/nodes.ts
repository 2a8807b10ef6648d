import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Broker, MessageSink } from '../broker/broker.js';
import { intervalFactor } from '../broker/interval-factor.js';
import type { StoredMessage } from '../message/message.js';
import { heartbeatOf, type NodeMessage, parseNodeMessage, unknownIn } from './node-message.js';
import { type Peer, Peers } from './peers.js';

/** The feed on which a node speaks to all others. No client can follow it or publish to it: no feed id has a `$`. */
export const nodesFeed = '$nodes';

/** The feed on which others speak to one node. */
function feedOf(id: string): string {
  return `${nodesFeed}/${id}`;
}

/** How often a node sends a heartbeat, in milliseconds, where there are few nodes. */
const periodMs = 2000;
/** Beyond so many nodes, all send theirs to one of them, which calls the roll, the less often the more there are. */
const fewNodes = 4;
/** After how many periods without a roll a node sends its heartbeat to all. */
const rollPatience = 1.5;
/**
 * The part of its time after which a node sends its heartbeat as soon as it hears another one. Before that, few nodes wait for a whole period
 * from there. So all come to send theirs, and to hear all, within some milliseconds: a process that is woken once for many messages does a
 * fraction of the work of one that is woken for each.
 */
const sendsAlongAfter = 0.75;
/**
 * How many of its own heartbeats a node hears without another one, which is lost at the next, or how many rolls with itself and without the
 * other. One that waits for the others to send its own in step with them may miss two.
 */
const mostMissed = { few: 4, many: 3 };
/** How long a node that leaves waits until that is published, in milliseconds. */
const leaveMs = 300;

/** Hears of the other nodes. */
export interface NodesListener {
  onJoined?(peer: Peer): void;
  /** The node has left in good order, or has not been heard for so long that it counts as lost. */
  onGone?(peer: Peer, isLost: boolean): void;
  /** This node may have missed what others said. */
  onMissed?(): void;
  /** This node has heard its own heartbeat, or a roll with itself. */
  onHeartbeat?(): void;
  /** Another node, or this one, says something else than that it is there. */
  onMessage?(kind: string, message: NodeMessage): void;
}

/**
 * The processes that share a broker. Few of them send heartbeats on one feed, and each hears its own among those of the others: a node that is
 * silent while this one hears itself is lost. So neither an outage of the server nor a halt of this process makes others look lost.
 *
 * Of many, each sends its heartbeat to the one with the first id alone, which calls the roll on the feed: who has been heard since the last roll.
 * So all of them together hear as many messages as there are nodes, not the square of that. A node that is not on the roll sends its heartbeat
 * to all, and so do all where no roll is called: whatever happens to the node with the first id, no other looks lost.
 *
 * Without a shared broker, this node is the only one.
 */
export class Nodes implements MessageSink {
  readonly id = randomUUID();
  readonly isShared: boolean;
  private readonly peers = new Peers();
  private readonly heartbeat: string;
  private readonly listeners: NodesListener[] = [];
  private readonly inbox: MessageSink = { next: (message) => this.receive(message), lost: () => this.lost() };
  private timer: NodeJS.Timeout | undefined;
  private isSending = false;
  /** When the timer ends, by `performance.now()`. */
  private endsAt = Number.POSITIVE_INFINITY;
  /** When this node sends its heartbeat as soon as it hears another one, by `performance.now()`. */
  private sendsAlongAt = Number.POSITIVE_INFINITY;
  private hasWarned = false;

  /** @param warn called for the first message that cannot be read */
  constructor(
    private readonly broker: Broker,
    readonly name: string,
    private readonly warn: (message: string) => void,
    private readonly period = periodMs,
  ) {
    this.isShared = broker.name !== 'memory';
    this.heartbeat = heartbeatOf(this.id, name);
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
    this.broker.listen?.(this.id, (text) => this.hear(text));
    this.beat();
  }

  /** The other nodes, by name. */
  others(): Peer[] {
    return this.peers.sorted();
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
   * @param kind what listeners tell it by: not `heartbeat`, `roll` or `left`
   * @throws what the broker fails with
   */
  async tell(kind: string, content: object, to?: string): Promise<void> {
    await this.publish(to === undefined ? nodesFeed : feedOf(to), kind, JSON.stringify({ id: this.id, node: this.name, ...content }));
  }

  next(message: StoredMessage): void {
    const { type, text } = message;
    if (type === 'roll') this.hearRoll(text);
    else if (type !== 'heartbeat') this.receive(message);
    else if (text === this.heartbeat) this.hearSelf();
    else {
      this.hear(text, (id) => this.greet(id));
      if (performance.now() > this.sendsAlongAt) this.beat();
      else if (!this.areMany) this.timer?.refresh();
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
    if (type === 'left') {
      this.peers.noteLeft(message.id);
      this.remove(message.id, false);
    } else for (const listener of this.listeners) listener.onMessage?.(type, message);
  }

  private hear(heartbeat: string, onNew?: (id: string) => void): void {
    if (this.peers.hearText(heartbeat)) return;
    const message = this.parse(heartbeat);
    if (!message) return;
    if (onNew) this.peers.noteBack(message.id); // the feed keeps the order
    if (this.meet(message, heartbeat, true)) onNew?.(message.id);
  }

  /**
   * Another node is heard of.
   *
   * @param isPresent whether it has been heard itself, and is not only on a roll
   * @returns whether it was not known
   */
  private meet({ id, node: name }: NodeMessage, heartbeat: string, isPresent: boolean): boolean {
    const peer = { id, name };
    if (id === this.id || !this.peers.add(peer, heartbeat, isPresent)) return false;
    for (const listener of this.listeners) listener.onJoined?.(peer);
    return true;
  }

  /** A node has called the roll. This one answers at once with its heartbeat, for the next roll. */
  private hearRoll(text: string): void {
    const roll = this.parse(text);
    if (!roll) return;
    let isOnRoll = false;
    const hear = (id: unknown) => {
      if (id === this.id) isOnRoll = true;
      return id === this.id || this.peers.hear(id as string);
    };
    const met = hear(roll.id) ? [] : [roll];
    for (const { id, node } of [...met, ...unknownIn(roll, hear)]) this.meet({ id, node }, heartbeatOf(id, node), false);
    if (isOnRoll) this.hearSelf();
    // A heartbeat to all finds out whether a server that has rejected messages takes them again.
    if (!isOnRoll || this.broker.unavailableSince !== undefined) this.sendToAll();
    this.schedule();
    if (roll.id === this.id) return;
    this.peers.takePresent(); // another one calls the roll
    this.sendTo(roll.id);
  }

  private hearSelf(): void {
    for (const { id } of this.peers.miss(this.areMany ? mostMissed.many : mostMissed.few)) this.remove(id, true);
    for (const listener of this.listeners) listener.onHeartbeat?.();
  }

  private remove(id: string, isLost: boolean): void {
    const peer = this.peers.remove(id);
    if (!peer) return;
    // With fewer nodes, all do something sooner: those that know it already would miss this one.
    if (this.timer && performance.now() + this.wait < this.endsAt) this.schedule();
    for (const listener of this.listeners) listener.onGone?.(peer, isLost);
  }

  private get areMany(): boolean {
    return this.peers.size + 1 > fewNodes;
  }

  /** Whether this node calls the roll. */
  private get isCaller(): boolean {
    return this.areMany && this.peers.firstId(this.id) === this.id;
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
  private greet(id: string): void {
    this.publish(feedOf(id), 'heartbeat', this.heartbeat).catch(() => {}); // it hears the next heartbeat, or is on the next roll
  }

  private beat(): void {
    this.schedule();
    if (!this.isCaller) this.sendToAll();
    else
      void this.send(
        'roll',
        JSON.stringify({ id: this.id, node: this.name, present: this.peers.takePresent().map(({ id, name: node }) => ({ id, node })) }),
      );
  }

  /** How long this node waits until it does something, unless a roll is called before, in milliseconds. */
  private get wait(): number {
    const period = this.period * intervalFactor(this.peers.size + 1, fewNodes);
    return this.areMany && !this.isCaller ? period * rollPatience : period;
  }

  private schedule(): void {
    const { wait } = this;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.beat(), wait).unref();
    this.endsAt = performance.now() + wait;
    this.sendsAlongAt = performance.now() + wait * sendsAlongAfter;
  }

  private sendToAll(): void {
    void this.send('heartbeat', this.heartbeat);
  }

  /** Sends the heartbeat to one node: it matters once, and need not be stored. */
  private sendTo(id: string): void {
    if (this.broker.signal) this.broker.signal(id, this.heartbeat);
    else this.greet(id);
  }

  /**
   * What fails is sent again in the next period. A server that has rejected messages is found to take them again by this. One that does not take
   * a long roll may take a heartbeat.
   */
  private async send(type: string, text: string): Promise<void> {
    if (this.isSending) return;
    this.isSending = true;
    const isPublished = await this.publish(nodesFeed, type, text).then(
      () => true,
      () => false,
    );
    this.isSending = false;
    if (!isPublished && type === 'roll') this.sendToAll();
  }

  private async publish(feed: string, type: string, text: string): Promise<void> {
    await this.broker.publish(feed, { type, text, isJson: true });
  }
}
