import { type Content, type StoredMessage, storedMessage } from '../../message/message.js';
import type { Start } from '../../message/position.js';
import type { Broker, History, HistoryBounds, MessageSink } from '../broker.js';
import { newEpoch } from '../epoch.js';
import { MessageLog } from '../message-log.js';

/** Stores messages in this process, for this process. Delivers a message before `publish()` resolves. */
export class MemoryBroker implements Broker {
  readonly name = 'memory';
  readonly unavailableSince = undefined;
  /** Each broker has an epoch of its own: what an earlier process stored is gone. */
  private readonly log: MessageLog;
  private readonly sinks = new Map<string, MessageSink>();
  private undelivered: StoredMessage[] = [];

  constructor(bounds: HistoryBounds) {
    this.log = new MessageLog(newEpoch(), bounds);
  }

  async publish(feed: string, content: Content): Promise<StoredMessage> {
    const { epoch, offset } = this.log;
    const message = storedMessage(feed, epoch, offset + 1, Date.now(), content);
    this.log.append(message);
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

  async close(): Promise<void> {
    this.sinks.clear();
    this.log.clear();
  }

  /** One message after the other: what a subscriber publishes in response to one is delivered when that has reached all. */
  private deliver(message: StoredMessage): void {
    this.undelivered.push(message);
    if (this.undelivered.length > 1) return;
    try {
      for (const next of this.undelivered) this.sinks.get(next.feed)?.next(next);
    } finally {
      this.undelivered = [];
    }
  }
}
