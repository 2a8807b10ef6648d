import { FeedEndedError, FeedPositionError } from '../../errors/broker.errors.js';
import { type Content, type StoredMessage, storedMessage } from '../../message/message.js';
import type { Position, Start } from '../../message/position.js';
import type { Broker, History, HistoryBounds, MessageSink, PublishConditions, StoredFeed, StoredIds } from '../broker.js';
import { newEpoch } from '../epoch.js';
import type { IdRange } from '../first-ids.js';
import { MessageLog } from '../message-log.js';
import { KnownKeys } from './known-keys.js';
import { MemoryNames } from './memory-names.js';

const unconditional: PublishConditions = {};

/** Stores messages in this process, for this process. Delivers a message before `publish()` resolves. */
export class MemoryBroker implements Broker {
  readonly name = 'memory';
  readonly unavailableSince = undefined;
  /** Each broker has an epoch of its own: what an earlier process stored is gone. */
  private readonly log: MessageLog;
  private readonly keys: KnownKeys;
  private readonly names = new MemoryNames();
  private readonly sinks = new Map<string, MessageSink>();
  private undelivered: StoredMessage[] = [];

  constructor(bounds: HistoryBounds) {
    this.log = new MessageLog(newEpoch(), bounds);
    this.keys = new KnownKeys(bounds.idempotencyMs);
  }

  get historyBytes(): number {
    return this.log.totalBytes;
  }

  async publish(feed: string, content: Content, { key, expected }: PublishConditions = unconditional): Promise<StoredMessage> {
    const { log, keys } = this;
    const { epoch } = log;
    const known = key === undefined ? undefined : keys.find(feed, key, content);
    if (known) return storedMessage(feed, epoch, known.offset, known.time, content);
    if (log.isEnded(feed)) throw new FeedEndedError(feed);
    if (expected && !this.isLast(feed, expected)) throw new FeedPositionError(feed);
    const message = storedMessage(feed, epoch, log.offset + 1, Date.now(), content);
    log.append(message);
    if (key !== undefined) keys.add(key, message);
    this.deliver(message);
    return message;
  }

  subscribe(feed: string, sink: MessageSink): undefined {
    this.sinks.set(feed, sink);
  }

  unsubscribe(feed: string): void {
    this.sinks.delete(feed);
  }

  async read(feed: string, start: Start, limitBytes: number): Promise<History> {
    return this.log.read(feed, start, limitBytes);
  }

  async storedIds(range: IdRange): Promise<StoredIds> {
    return this.log.storedIds(range);
  }

  async measure(feeds: readonly string[]): Promise<(StoredFeed | undefined)[]> {
    return this.log.measure(feeds);
  }

  async clear(feed: string, expected?: Position): Promise<void> {
    if (expected && !this.isLast(feed, expected)) throw new FeedPositionError(feed);
    this.log.clear(feed);
    this.keys.forget(feed);
    this.sinks.get(feed)?.lost(undefined);
  }

  async remember(name: string, until: number): Promise<void> {
    this.names.add(name, until);
  }

  async remembered(): Promise<ReadonlyMap<string, number>> {
    return this.names.all();
  }

  async close(): Promise<void> {
    this.sinks.clear();
    this.log.clearAll();
    this.keys.clear();
    this.names.clear();
  }

  private isLast(feed: string, { epoch, offset }: Position): boolean {
    const { log } = this;
    return epoch === log.epoch && offset <= log.offset && offset >= log.lastOffsetOf(feed);
  }

  /** One message after the other: what a subscriber publishes in response to one is delivered when that has reached all. */
  protected deliver(message: StoredMessage): void {
    this.undelivered.push(message);
    if (this.undelivered.length > 1) return;
    try {
      for (const next of this.undelivered) this.sinks.get(next.feed)?.next(next);
    } finally {
      this.undelivered = [];
    }
  }
}
