import { randomUUID } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Broker, History, MessageSink } from '../broker/broker.js';
import { Waiters } from '../broker/waiters.js';
import { BrokerUnavailableError } from '../errors/broker.errors.js';
import type { StoredMessage } from '../message/message.js';
import { type Claim, claimOf, type Lease, type LeaseListener } from './lease-claim.js';

/** The feed on which leases are taken, renewed and released. No client can follow it or publish to it: no feed id has a `$`. */
export const leasesFeed = '$leases';

/** How long a lease lasts without being renewed, in milliseconds. */
const term = 5000;
/** How many times it is renewed within that time. */
const renewals = 3;
/** How many leases are renewed with one message. */
const mostAtOnce = 500;
/** How many leases are known at a time: any program that can reach the server can take some. */
const mostLeases = 1_000_000;
/** How many bytes of the past are read at a start: some seconds of it. */
const pastBytes = 1_000_000;

/**
 * Leases on names, over all nodes that share a broker: one node holds a name for as long as it renews it.
 *
 * A node takes a lease by a message on a feed. The broker gives all nodes these messages in one order and with one time, and each node
 * decides by these alone whether a claim holds: so all come to the same result, without anything that a broker must do for it.
 */
export class Leases implements MessageSink {
  private readonly holder = randomUUID();
  private readonly leases = new Map<string, Lease>();
  /** Those of this node, with their notes. */
  private readonly own = new Map<string, string | undefined>();
  /** Those that this node is about to have. */
  private readonly claiming = new Set<string>();
  /** Those that this node has released, or claimed in vain: it says so again until it hears it. */
  private readonly releasing = new Set<string>();
  /** Those that their holders have been asked to release, and that they have not released yet. */
  private readonly recalled = new Set<string>();
  private readonly waiters = new Waiters();
  private offset = 0;
  /** What arrives while the past is read. */
  private early: StoredMessage[] | undefined = [];
  /** When this node last may have missed that somebody took a lease, by `performance.now()`: within a term, each is heard of again. */
  private missedAt = Number.POSITIVE_INFINITY;
  private learning: Promise<void> | undefined = undefined;
  /** When others last may have been unable to renew their leases, or to be heard. */
  private deafAt = Number.NEGATIVE_INFINITY;
  private tickedAt = performance.now();
  private timer: NodeJS.Timeout | undefined = undefined;
  private listener: LeaseListener | undefined = undefined;
  private readonly stopping = new AbortController();

  constructor(
    private readonly broker: Broker,
    private readonly termMs = term,
  ) {
    setMaxListeners(0, this.stopping.signal); // as many as wait for leases at the same time
  }

  /** Begins to hear of the leases of others. */
  start(listener: LeaseListener): void {
    this.listener = listener;
    this.learning = this.learn();
    this.learning.catch(() => {}); // who takes a lease gets the error
  }

  /** Ends without releasing anything. */
  stop(): void {
    this.stopping.abort(new BrokerUnavailableError('The broker is closed.'));
    clearInterval(this.timer);
    this.broker.unsubscribe(leasesFeed);
    this.waiters.fail(this.stopping.signal.reason);
  }

  /**
   * Takes a lease, and renews it from then on.
   *
   * @param note what other nodes hear of it when it expires
   * @returns whether this node has got it, which may have been asked for again already (see `holds()`); if not, another one has it, and has
   * not heard that it should release it
   * @throws what the broker fails with
   */
  async take(name: string, note?: string): Promise<boolean> {
    await this.learning;
    for (;;) {
      await this.waitUntil(this.missedAt + this.termMs);
      if (this.isOthers(name)) {
        await this.catchUp();
        if (this.isOthers(name) && !(this.recalled.has(name) && (await this.whenReleased(name)))) return false;
      }
      const missedAt = this.missedAt;
      await this.claim(name, note);
      if (this.leases.get(name)?.holder === this.holder) break;
      if (this.missedAt === missedAt && !this.leases.has(name)) throw new BrokerUnavailableError('There are too many leases.');
    }
    this.own.set(name, note);
    this.lookAfter();
    if (this.recalled.has(name)) await this.release(name); // before it was known to be this node's
    return true;
  }

  /** Whether this node holds a lease, as far as it knows. */
  holds(name: string): boolean {
    return this.own.has(name);
  }

  /** Whether any node holds a lease, or has let it expire, as far as this one knows. */
  isTaken(name: string): boolean {
    return this.leases.has(name);
  }

  /** Asks the holder of a lease to release it, which it does at once. */
  recall(name: string): Promise<void> {
    return this.publish({ recall: [name] });
  }

  /** Asks the holder of a lease to release it, again where it has missed that, and waits until it has, or its lease is over. */
  async free(name: string): Promise<void> {
    do {
      await this.recall(name);
      await this.whenReleased(name);
    } while (this.isOthers(name));
  }

  /** Releases a lease of this node; at once here, and for the others as soon as the broker is available. */
  async release(name: string): Promise<void> {
    if (this.own.delete(name)) await this.withdraw(name);
  }

  next(message: StoredMessage): void {
    if (this.early) this.early.push(message);
    else this.apply(message);
  }

  /** Claims are missing: they are all heard of again within the life of a lease. */
  lost(): void {
    this.missedAt = performance.now();
    this.offset = 0;
    this.waiters.reach(Number.POSITIVE_INFINITY);
  }

  private apply({ offset, time, text }: StoredMessage): void {
    const claim = claimOf(text);
    if (claim) {
      const { holder, termMs, take, release, recall } = claim;
      for (const name of recall) {
        if (this.leases.has(name)) this.recalled.add(name);
        if (!this.own.has(name)) continue;
        this.listener?.onRecalled(name);
        void this.release(name);
      }
      for (const name of release) {
        if (holder === this.holder) this.releasing.delete(name);
        if (this.leases.get(name)?.holder === holder) this.forget(name);
      }
      for (const { name, note } of take) {
        const before = this.leases.get(name);
        if (!before && this.leases.size >= mostLeases) continue;
        if (before && before.holder !== holder && before.until > time) continue;
        this.lookAfter();
        if (before?.holder !== holder) this.recalled.delete(name);
        this.leases.set(name, { holder, note, until: time + termMs, overAt: performance.now() + termMs });
        if (holder !== this.holder) {
          if (this.own.delete(name)) this.listener?.onTaken(name);
        } else if (!before && !this.own.has(name) && !this.claiming.has(name)) void this.withdraw(name); // it comes after its withdrawal
      }
    }
    this.offset = offset;
    this.waiters.reach(offset);
  }

  /** Where this fails, the claim may be stored all the same: without a holder before, it would expire as if this node were gone. */
  private async claim(name: string, note: string | undefined): Promise<void> {
    const isFirst = !this.leases.has(name);
    const release = this.releasing.delete(name) ? [name] : []; // others may not have heard it yet
    this.claiming.add(name);
    try {
      await this.publish({ take: [{ name, note }], release });
    } catch (error) {
      if (isFirst) void this.withdraw(name);
      throw error;
    } finally {
      this.claiming.delete(name);
    }
  }

  private async withdraw(name: string): Promise<void> {
    this.releasing.add(name);
    this.lookAfter();
    await this.publish({ release: [name] }).catch(() => {}); // it is said again
  }

  private forget(name: string): void {
    this.leases.delete(name);
    this.recalled.delete(name);
    this.listener?.onReleased(name);
  }

  /** Whether another node holds a lease, as far as this one knows. */
  private isOthers(name: string): boolean {
    const known = this.leases.get(name);
    return known !== undefined && known.holder !== this.holder && known.overAt > performance.now();
  }

  /**
   * Waits until a lease that another node has been asked for is released, or is over.
   *
   * @returns false where it has been renewed instead: its holder has missed that it was asked
   */
  private async whenReleased(name: string): Promise<boolean> {
    const overAt = this.leases.get(name)?.overAt ?? 0;
    let isOver = false;
    const over = this.waitUntil(overAt).finally(() => (isOver = true));
    over.catch(() => {}); // who still waits then gets the error
    while (!isOver && this.isOthers(name) && this.recalled.has(name)) await Promise.race([this.waiters.wait(this.offset + 1), over]);
    return !isOver || this.leases.get(name)?.overAt === overAt || !this.isOthers(name);
  }

  /** Waits until this node knows what was said before now: what has just been done on another node counts. */
  private async catchUp(): Promise<void> {
    const [newest] = (await this.broker.read(leasesFeed, 'newest', 0)).messages;
    if (newest && newest.offset > this.offset) await this.waiters.wait(newest.offset);
  }

  /** Reads what was claimed in the last seconds; where history does not go back that far, each lease is heard of within that time. */
  private async learn(): Promise<void> {
    // Where this fails, the broker subscribes once its server is available.
    await this.broker.subscribe(leasesFeed, this)?.catch(() => {});
    const { messages, hasMore, isReset } = await this.readPast();
    const { early = [] } = this;
    this.early = undefined;
    for (const message of [...messages, ...early]) if (message.offset > this.offset) this.apply(message);
    const [oldest, newest] = [messages[0], messages.at(-1)];
    const goesBack = !isReset || (oldest && newest && newest.time - oldest.time >= this.termMs);
    this.missedAt = goesBack && !hasMore ? Number.NEGATIVE_INFINITY : performance.now();
  }

  private async readPast(): Promise<History> {
    for (;;) {
      try {
        return await this.broker.read(leasesFeed, 'earliest', pastBytes);
      } catch (error) {
        if (!(error instanceof BrokerUnavailableError)) throw error;
        await this.waitUntil(performance.now() + this.termMs / renewals);
      }
    }
  }

  /** @throws where leases are given up meanwhile */
  private async waitUntil(time: number): Promise<void> {
    const { signal } = this.stopping;
    const left = time - performance.now();
    if (left > 0) await sleep(left, undefined, { ref: false, signal });
    signal.throwIfAborted();
  }

  /** Looks after leases from now on, until there are none: nodes without leases cost nothing. */
  private lookAfter(): void {
    if (this.timer || this.stopping.signal.aborted) return;
    this.tickedAt = performance.now();
    this.timer = setInterval(() => this.tick(), this.termMs / renewals).unref();
  }

  private tick(): void {
    if (this.leases.size === 0 && this.own.size === 0 && this.releasing.size === 0) {
      clearInterval(this.timer);
      this.timer = undefined;
      return;
    }
    const now = performance.now();
    // Where this process was halted, or the broker is unavailable, others may have renewed their leases unheard.
    if (this.broker.unavailableSince !== undefined || now - this.tickedAt > this.termMs / 2) this.deafAt = now;
    this.tickedAt = now;
    const own = [...this.own].map(([name, note]) => ({ name, note }));
    const release = [...this.releasing];
    for (let n = 0; n < Math.max(own.length, release.length); n += mostAtOnce) {
      const said = { take: own.slice(n, n + mostAtOnce), release: release.slice(n, n + mostAtOnce) };
      this.publish(said).catch(() => {});
    }
    if (now - Math.max(this.deafAt, this.missedAt) < this.termMs) return;
    for (const [name, { note, overAt }] of this.leases) {
      if (overAt > now || this.own.has(name)) continue;
      // What it was taken for is over already.
      if (this.recalled.has(name)) this.forget(name);
      else this.listener?.onExpired(name, note);
    }
  }

  /** Publishes a claim, and waits until it has been applied here. */
  private async publish(said: Pick<Claim, 'take' | 'release' | 'recall'>): Promise<void> {
    const text = JSON.stringify({ holder: this.holder, termMs: this.termMs, ...said });
    const { offset } = await this.broker.publish(leasesFeed, { type: undefined, text, isJson: true });
    if (this.offset < offset) await this.waiters.wait(offset);
  }
}
