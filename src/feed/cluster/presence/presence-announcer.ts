import { randomUUID } from 'node:crypto';
import type { Broker, MessageSink } from '../../broker/broker.js';
import type { StoredMessage } from '../../message/message.js';
import type { Nodes, NodesListener } from '../nodes.js';
import type { Peer } from '../peers.js';
import type { AnnouncedFeeds } from './announcements.js';
import { MissingNodes } from './missing-nodes.js';
import { OwnRoster } from './own-roster.js';
import {
  changesBetween,
  lostConnections,
  occupancyChanges,
  type PresenceListener,
  RecentEvents,
  type SharedEvent,
} from './presence-events.js';
import { type Member, PresenceLedger } from './presence-ledger.js';
import { type AnnouncedState, type Announcement, type Fork, parsePresence, type Removal, type RosterChanges } from './presence-messages.js';
import { announcementOf, firstState, type OutgoingMessage, type OwnAnnouncement, PresenceOutbox } from './presence-outbox.js';
import { JitteredDelay, StateRequests } from './state-requests.js';

/** The feed on which nodes publish their connections. No client can follow it or publish to it: no feed id has a `$`. */
export const presenceFeed = '$presence';

/** How long changes wait for more, and how often a node checks whether to send or request something again, in milliseconds. */
const usualTimes = { batchMs: 50, tickMs: 500 };
/** How long a node waits until it receives its own last message, in milliseconds. */
const patienceMs = 10_000;
/** How often a shutdown checks whether everything is sent, in milliseconds. */
const stopStepMs = 5;

/**
 * Emits an event when a feed gets its first connection, when its last one has ended, and for each connection of a lost node: once over all
 * nodes.
 *
 * Nodes publish their connections on a feed of their own. The broker delivers these messages to all nodes in one order, and each node computes
 * from them which feeds are occupied, and what has been announced. One node announces: the last one that did, or another one once its
 * heartbeats are missing. An announcement is a message with the next number. Where two nodes announce at once, the first message is valid,
 * and the other is void on all nodes.
 */
export class PresenceAnnouncer implements MessageSink, NodesListener {
  readonly ledger = new PresenceLedger();
  private readonly own = new OwnRoster();
  private readonly outbox = new PresenceOutbox(this.own, this.ledger);
  private readonly recentEvents = new RecentEvents();
  /** The offset of the last message that was received. */
  private offset = 0;
  /** The offset and the time of this node's last message about the announced state. It sends the next one once it has received that. */
  private lastSent = { offset: 0, at: 0 };
  /** The last announcement of this node. */
  private lastAnnouncement: OwnAnnouncement | undefined = undefined;
  /** Whether a node has sent the announced state since messages may have been missing. */
  private hasState = false;
  private readonly requests: StateRequests;
  /** When this node sends the announced state, or its forks, unless another node does. */
  private readonly delays: { readonly state: JitteredDelay; readonly fork: JitteredDelay };
  private readonly missing: MissingNodes;
  private timer: NodeJS.Timeout | undefined = undefined;
  private ticker: NodeJS.Timeout | undefined = undefined;
  private isSending = false;

  constructor(
    private readonly broker: Broker,
    private readonly nodes: Nodes,
    private readonly listener: PresenceListener,
    private readonly times = usualTimes,
  ) {
    this.requests = new StateRequests(times.tickMs);
    this.missing = new MissingNodes(this.ledger.rosters, (id) => this.isAlive(id));
    this.delays = { state: new JitteredDelay(times.tickMs), fork: new JitteredDelay(times.tickMs) };
    nodes.listen(this);
  }

  start(): void {
    // Where this fails, the broker subscribes once its server is available.
    this.broker.subscribe(presenceFeed, this)?.catch(() => {});
    this.ticker = setInterval(() => this.tick(), this.times.tickMs).unref();
    this.send();
  }

  /** Sends what is left, if the broker accepts it in time. */
  async stop(withinMs: number): Promise<void> {
    const until = performance.now() + withinMs;
    const hasToAnnounce = () => this.ledger.unannounced.size > 0 && this.isAnnouncing;
    while (this.ticker && performance.now() < until && (this.own.hasChanges || this.isSending || hasToAnnounce())) {
      this.outbox.hasBatch = true;
      this.send();
      await new Promise((resolve) => setTimeout(resolve, stopStepMs));
    }
    clearInterval(this.ticker);
    clearTimeout(this.timer);
    this.ticker = undefined;
    this.broker.unsubscribe(presenceFeed);
  }

  /** The feeds of a connection of this node have changed. */
  note(number: number, member: Member | undefined): void {
    if (!this.own.set(number, member && { ...member, feeds: this.ledger.shared(member.feeds) }) || !this.ticker) return;
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      this.outbox.hasBatch = true;
      this.send();
    }, this.times.batchMs).unref();
  }

  next({ type, text, offset, time }: StoredMessage): void {
    this.offset = offset;
    if (type === 'changes') this.onChanges(parsePresence(type, text));
    else if (type === 'gone') this.onRemoved(parsePresence(type, text), time);
    else if (type === 'told') this.onAnnouncement(parsePresence(type, text));
    else if (type === 'state') this.onState(parsePresence(type, text), time);
    else if (type === 'fork') this.onFork(parsePresence(type, text));
    else if (type === 'ask') this.onRequest(parsePresence(type, text)?.id);
    this.send();
  }

  /** Messages are missing: everything is sent, and requested, again. */
  lost(): void {
    for (const roster of this.ledger.rosters.values()) this.ledger.markStale(roster);
    this.lastSent.offset = 0;
    this.offset = 0;
    this.hasState = false;
    if (this.ledger.forks.size > 0) this.delays.fork.schedule();
    this.outbox.mustBegin = true;
    this.requests.begin();
    this.send();
  }

  onGone({ id }: Peer, isLost: boolean): void {
    this.missing.gone(id, isLost);
    this.send();
  }

  onHeartbeat(): void {
    this.missing.hearSelf();
    this.send();
  }

  private onChanges(message: RosterChanges | undefined): void {
    if (!message) return;
    const isOwn = message.id === this.nodes.id;
    if (this.ledger.change(message, isOwn ? this.own.members : undefined)) this.missing.hear(message.id);
    else if (isOwn) this.outbox.mustBegin = true;
    else this.requests.begin();
  }

  private onRemoved(message: Removal | undefined, time: number): void {
    const roster = message && this.ledger.remove(message);
    if (!roster) return;
    const { id, isLost } = message;
    this.missing.forget(roster.id);
    if (roster.id === this.nodes.id) {
      this.outbox.mustBegin = true;
      for (const number of isLost ? roster.members.keys() : []) {
        const member = this.own.members.get(number);
        if (member) this.listener.onReturned(number, member);
      }
    } else if (isLost) {
      if (id === this.nodes.id) for (const event of this.recentEvents.of(roster.id)) this.listener.onRepeated(event);
      this.emit(id, lostConnections(roster, time));
    }
  }

  private onAnnouncement(message: Announcement | undefined): void {
    const isValid = message ? this.ledger.announce(message) : false;
    if (message && isValid) this.emit(message.id, occupancyChanges(message));
    else if (isValid === undefined) this.requests.begin();
  }

  private onState(message: AnnouncedState | undefined, time: number): void {
    if (!message) return;
    this.delays.state.cancel();
    this.hasState ||= !message.more;
    const { announced } = this.ledger;
    const isNewer = this.ledger.adopt(message);
    if (isNewer === false) this.answer();
    const adopted = isNewer && this.ledger.announced;
    if (!adopted) return;
    if (this.ledger.forks.size > 0) this.delays.fork.schedule();
    // This node has missed a valid announcement, which may be its own.
    this.emit(
      adopted.announcer,
      this.lastAnnouncement && this.isLastOf(adopted) ? occupancyChanges(this.lastAnnouncement) : changesBetween(announced, adopted, time),
    );
  }

  private onFork(message: Fork | undefined): void {
    if (message) this.ledger.dispute(message);
    if (this.ledger.forks.size === 0) this.delays.fork.cancel();
  }

  private onRequest(id: string | undefined): void {
    if (id === this.nodes.id) {
      this.requests.receive();
      // It has not received what it sent before it had subscribed.
      this.outbox.mustBegin ||= !this.isKnown(id);
    } else if (id !== undefined) {
      this.outbox.mustBegin = true;
      this.answer();
    }
  }

  /** Sends the announced state: at once if this node announces and has missed nothing, otherwise unless another node does. */
  private answer(): void {
    if (this.isAnnouncing && this.hasState) this.outbox.mustState = true;
    else this.delays.state.schedule();
  }

  private emit(announcer: string, events: Iterable<SharedEvent>): void {
    if (announcer !== this.nodes.id) this.recentEvents.add(announcer, events);
    else for (const event of events) this.listener.onEvent(event);
  }

  private tick(): void {
    this.outbox.mustState ||= this.delays.state.take();
    this.outbox.mustFork ||= this.delays.fork.take();
    if (!this.isSettled) this.requests.repeat();
    this.send();
  }

  private isAlive(id: string): boolean {
    return id === this.nodes.id || this.nodes.has(id);
  }

  /** Whether this node makes the announcements: it made the last one, or the node that did is gone and this one has the lowest id. */
  private get isAnnouncing(): boolean {
    const { rosters, announced } = this.ledger;
    if (announced && rosters.has(announced.announcer) && this.isAlive(announced.announcer)) return announced.announcer === this.nodes.id;
    let least: string | undefined;
    for (const id of rosters.keys()) if (this.isAlive(id) && (least === undefined || id < least)) least = id;
    return least === this.nodes.id;
  }

  /** Whether this node knows the connections of all other nodes that take part. */
  private get isSettled(): boolean {
    if (this.requests.isExhausted || !this.nodes.isShared) return true;
    return this.hasState && this.isKnown(this.nodes.id) && this.nodes.others().every(({ id }) => this.isKnown(id));
  }

  private isKnown(id: string): boolean {
    return this.ledger.rosters.get(id)?.isStale === false;
  }

  /** Sends one message after the other, until there are no more. */
  private send(): void {
    if (this.isSending || !this.ticker || this.broker.unavailableSince !== undefined) return;
    const message = this.nextMessage();
    if (message) void this.sendAll(message);
  }

  private async sendAll(first: OutgoingMessage): Promise<void> {
    this.isSending = true;
    let message: OutgoingMessage | undefined = first;
    try {
      for (; message && this.ticker; message = this.nextMessage()) {
        const text = JSON.stringify({ id: this.nodes.id, node: this.nodes.name, ...message.content });
        const { offset } = await this.broker.publish(presenceFeed, { type: message.kind, text, isJson: true });
        if (message.kind !== 'changes' && message.kind !== 'ask') this.lastSent = { offset, at: performance.now() };
      }
    } catch {
      this.outbox.failed(message); // the next tick sends it
    } finally {
      this.isSending = false;
    }
  }

  private nextMessage(): OutgoingMessage | undefined {
    const message = this.outbox.next();
    if (message) return message;
    if (this.requests.take()) return { kind: 'ask', content: {} };
    const isWaiting = this.offset < this.lastSent.offset && performance.now() - this.lastSent.at < patienceMs;
    if (isWaiting) return undefined;
    const { isAnnouncing } = this;
    return this.missing.nextGone(isAnnouncing) ?? (isAnnouncing ? this.nextAnnouncement() : undefined);
  }

  private nextAnnouncement(): OutgoingMessage | undefined {
    if (!this.isSettled) return undefined;
    const { announced } = this.ledger;
    if (!announced) return firstState(this.nodes.id);
    // Where it has not received its own last announcement, that may be on the other side of a split, and begins a term of its own.
    const announcement = announcementOf(this.ledger, this.isLastOf(announced) ? announced.term : randomUUID());
    this.lastAnnouncement = announcement ?? this.lastAnnouncement;
    return announcement && { kind: 'told', content: announcement };
  }

  /** Whether the last announcement is one of this node. */
  private isLastOf({ term, version }: AnnouncedFeeds): boolean {
    return this.lastAnnouncement?.term === term && this.lastAnnouncement.version === version;
  }
}
