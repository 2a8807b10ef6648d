import { randomUUID } from 'node:crypto';
import type { Broker, MessageSink } from '../broker/broker.js';
import type { StoredMessage } from '../message/message.js';
import type { Nodes, NodesListener, Peer } from './nodes.js';
import { Asking } from './presence-asking.js';
import { changesBetween, changesTold, lostWith, type PresenceListener, RecentEvents, type SharedEvent } from './presence-events.js';
import { Later } from './presence-later.js';
import { type Member, PresenceLedger } from './presence-ledger.js';
import { type Changes, type Fork, type Gone, parsePresence, type State, type Told } from './presence-message.js';
import { MissingNodes } from './presence-missing.js';
import { PresenceOutbox } from './presence-outbox.js';
import { OwnRoster } from './presence-own.js';
import { beginningBy, type Said, toldOf } from './presence-said.js';
import type { Telling } from './presence-telling.js';

/** The feed on which nodes say who follows what. No client can follow it or publish to it: no feed id has a `$`. */
export const presenceFeed = '$presence';

/** How long changes wait for more, and how often a node looks whether it has to ask again, in milliseconds. */
const usualTimes = { batchMs: 50, tickMs: 500 };
/** How long a node waits for what it has told to come back to it, in milliseconds. */
const patienceMs = 10_000;
/** How often a shutdown looks whether all is said, in milliseconds. */
const stopStepMs = 5;

/**
 * Tells when the first connection follows a feed and when the last has left it, over all nodes, and which connections a lost node had: each
 * once.
 *
 * Nodes say who follows what on a feed of their own. The broker gives all nodes these messages in one order, and each decides by them alone
 * what is so, and what has been told. One node tells: the one that told last, or another one when its heartbeats are missing. What it tells
 * is a message with the next number. Where two nodes tell at once, the first of the messages counts, and the other is void for all.
 */
export class PresenceTeller implements MessageSink, NodesListener {
  readonly ledger = new PresenceLedger();
  private readonly own = new OwnRoster();
  private readonly outbox = new PresenceOutbox(this.own, this.ledger);
  private readonly recent = new RecentEvents();
  /** The offset of the last message that came. */
  private offset = 0;
  /** The offset of the last message by which this node told something, and when: until it has come, nothing else is told. */
  private told = { offset: 0, at: 0 };
  /** What this node told last. */
  private lastTold: Omit<Told, 'id' | 'node'> | undefined = undefined;
  /** Whether a node has said what was told since messages may have been missing. */
  private hasState = false;
  private readonly asking: Asking;
  /** What has been told, and what was told in a term that counts no more. */
  private readonly later: { readonly state: Later; readonly fork: Later };
  private readonly missing: MissingNodes;
  private timer: NodeJS.Timeout | undefined = undefined;
  private ticker: NodeJS.Timeout | undefined = undefined;
  private isSaying = false;

  constructor(
    private readonly broker: Broker,
    private readonly nodes: Nodes,
    private readonly listener: PresenceListener,
    private readonly times = usualTimes,
  ) {
    this.asking = new Asking(times.tickMs);
    this.missing = new MissingNodes(this.ledger.rosters, (id) => this.isThere(id));
    this.later = { state: new Later(times.tickMs), fork: new Later(times.tickMs) };
    nodes.listen(this);
  }

  start(): void {
    // Where this fails, the broker subscribes once its server is available.
    this.broker.subscribe(presenceFeed, this)?.catch(() => {});
    this.ticker = setInterval(() => this.tick(), this.times.tickMs).unref();
    this.work();
  }

  /** Says the rest of what is to be said, if the server takes it in time. */
  async stop(withinMs: number): Promise<void> {
    const until = performance.now() + withinMs;
    const hasToTell = () => this.ledger.untold.size > 0 && this.leader === this.nodes.id;
    while (this.ticker && performance.now() < until && (this.own.hasChanges || this.isSaying || hasToTell())) {
      this.outbox.hasBatch = true;
      this.work();
      await new Promise((resolve) => setTimeout(resolve, stopStepMs));
    }
    clearInterval(this.ticker);
    clearTimeout(this.timer);
    this.ticker = undefined;
    this.broker.unsubscribe(presenceFeed);
  }

  /** A connection of this node follows other feeds than before. */
  note(number: number, member: Member | undefined): void {
    if (!this.own.set(number, member && { ...member, feeds: this.ledger.shared(member.feeds) }) || !this.ticker) return;
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      this.outbox.hasBatch = true;
      this.work();
    }, this.times.batchMs).unref();
  }

  next({ type, text, offset, time }: StoredMessage): void {
    this.offset = offset;
    if (type === 'changes') this.onChanges(parsePresence(type, text));
    else if (type === 'gone') this.onRemoved(parsePresence(type, text), time);
    else if (type === 'told') this.onTold(parsePresence(type, text));
    else if (type === 'state') this.onState(parsePresence(type, text), time);
    else if (type === 'fork') this.onFork(parsePresence(type, text));
    else if (type === 'ask') this.onAsk(parsePresence(type, text)?.id);
    this.work();
  }

  /** Messages are missing: everything is said, and asked for, again. */
  lost(): void {
    for (const roster of this.ledger.rosters.values()) this.ledger.spoil(roster);
    this.told.offset = 0;
    this.offset = 0;
    this.hasState = false;
    if (this.ledger.forks.size > 0) this.later.fork.schedule();
    this.outbox.mustBegin = true;
    this.asking.begin();
    this.work();
  }

  onGone({ id }: Peer, isLost: boolean): void {
    this.missing.gone(id, isLost);
    this.work();
  }

  onHeartbeat(): void {
    this.missing.hearSelf();
    this.work();
  }

  private onChanges(message: Changes | undefined): void {
    if (!message) return;
    const isOwn = message.id === this.nodes.id;
    if (this.ledger.change(message, isOwn ? this.own.members : undefined)) this.missing.hear(message.id);
    else if (isOwn) this.outbox.mustBegin = true;
    else this.asking.begin();
  }

  private onRemoved(message: Gone | undefined, time: number): void {
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
      if (id === this.nodes.id) for (const event of this.recent.of(roster.id)) this.listener.onRepeated(event);
      this.share(id, lostWith(roster, time));
    }
  }

  private onTold(message: Told | undefined): void {
    const counts = message ? this.ledger.tell(message) : false;
    if (message && counts) this.share(message.id, changesTold(message));
    else if (counts === undefined) this.asking.begin();
  }

  private onState(message: State | undefined, time: number): void {
    if (!message) return;
    this.later.state.cancel();
    this.hasState ||= !message.more;
    const { telling } = this.ledger;
    const isNewer = this.ledger.adopt(message);
    if (isNewer === false) this.answer();
    const adopted = isNewer && this.ledger.telling;
    if (!adopted) return;
    if (this.ledger.forks.size > 0) this.later.fork.schedule();
    // A telling has counted of which this node has missed the message. It may be its own.
    this.share(
      adopted.teller,
      this.lastTold && this.isLastOf(adopted) ? changesTold(this.lastTold) : changesBetween(telling, adopted, time),
    );
  }

  private onFork(message: Fork | undefined): void {
    if (message) this.ledger.doubt(message);
    if (this.ledger.forks.size === 0) this.later.fork.cancel();
  }

  private onAsk(id: string | undefined): void {
    if (id === this.nodes.id) {
      this.asking.hear();
      // What it said before it heard anything, it has not heard itself.
      this.outbox.mustBegin ||= !this.isKnown(id);
    } else if (id !== undefined) {
      this.outbox.mustBegin = true;
      this.answer();
    }
  }

  /** Says what has been told: at once, if this is the node that tells, and has missed nothing; else if no other one has said it after a while. */
  private answer(): void {
    if (this.leader === this.nodes.id && this.hasState) this.outbox.mustState = true;
    else this.later.state.schedule();
  }

  private share(teller: string, events: Iterable<SharedEvent>): void {
    if (teller !== this.nodes.id) this.recent.add(teller, events);
    else for (const event of events) this.listener.onEvent(event);
  }

  private tick(): void {
    this.outbox.mustState ||= this.later.state.take();
    this.outbox.mustFork ||= this.later.fork.take();
    if (!this.isSettled) this.asking.repeat();
    this.work();
  }

  private isThere(id: string): boolean {
    return id === this.nodes.id || this.nodes.has(id);
  }

  /** The node that tells: the one that told last, if it is there. */
  private get leader(): string | undefined {
    const { rosters, telling } = this.ledger;
    if (telling && rosters.has(telling.teller) && this.isThere(telling.teller)) return telling.teller;
    let least: string | undefined;
    for (const id of rosters.keys()) if (this.isThere(id) && (least === undefined || id < least)) least = id;
    return least;
  }

  /** Whether this node has heard everything of all others, as far as they take part. */
  private get isSettled(): boolean {
    if (this.asking.isOver || !this.nodes.isShared) return true;
    return this.hasState && this.isKnown(this.nodes.id) && this.nodes.others().every(({ id }) => this.isKnown(id));
  }

  private isKnown(id: string): boolean {
    return this.ledger.rosters.get(id)?.isStale === false;
  }

  /** Says one thing after the other, until there is nothing more to say. */
  private work(): void {
    if (this.isSaying || !this.ticker || this.broker.unavailableSince !== undefined) return;
    const said = this.nextSaid();
    if (said) void this.say(said);
  }

  private async say(first: Said): Promise<void> {
    this.isSaying = true;
    let said: Said | undefined = first;
    try {
      for (; said && this.ticker; said = this.nextSaid()) {
        const text = JSON.stringify({ id: this.nodes.id, node: this.nodes.name, ...said.content });
        const { offset } = await this.broker.publish(presenceFeed, { type: said.kind, text, isJson: true });
        if (said.kind !== 'changes' && said.kind !== 'ask') this.told = { offset, at: performance.now() };
      }
    } catch {
      this.outbox.failed(said); // the next tick says it
    } finally {
      this.isSaying = false;
    }
  }

  private nextSaid(): Said | undefined {
    const said = this.outbox.next();
    if (said) return said;
    if (this.asking.take()) return { kind: 'ask', content: {} };
    const isWaiting = this.offset < this.told.offset && performance.now() - this.told.at < patienceMs;
    if (isWaiting) return undefined;
    const isLeader = this.leader === this.nodes.id;
    return this.missing.farewell(isLeader) ?? (isLeader ? this.news() : undefined);
  }

  /** What is other than what has been told. */
  private news(): Said | undefined {
    if (!this.isSettled) return undefined;
    const { telling } = this.ledger;
    if (!telling) return beginningBy(this.nodes.id);
    // Where it has not heard what it told last, another server may have that.
    const told = toldOf(this.ledger, this.isLastOf(telling) ? telling.term : randomUUID());
    this.lastTold = told ?? this.lastTold;
    return told && { kind: 'told', content: told };
  }

  /** Whether nothing has been told since this node did. */
  private isLastOf({ term, version }: Telling): boolean {
    return this.lastTold?.term === term && this.lastTold.version === version;
  }
}
