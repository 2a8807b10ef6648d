import { type Content, PublishedMessage } from '../../message/message.js';
import type { Broker, History, HistoryBounds, MessageSink, Start } from '../broker.js';
import { MessageLog } from '../message-log.js';

/** Keeps what it is given in this process, for this process. Delivers a message before `publish()` resolves. */
export class MemoryBroker implements Broker {
  readonly name = 'memory';
  readonly unavailableSince = undefined;
  /** Its epoch is another one for each broker: what an earlier process knew is gone. */
  private readonly log: MessageLog;
  private readonly sinks = new Map<string, MessageSink>();
  private undelivered: PublishedMessage[] = [];

  constructor(bounds: HistoryBounds) {
    this.log = new MessageLog(`${Date.now().toString(36)}${Math.floor(Math.random() * 36 ** 4).toString(36)}`, bounds);
  }

  async publish(feed: string, { type, text, isJson }: Content): Promise<PublishedMessage> {
    const { epoch, offset } = this.log;
    const message = new PublishedMessage(feed, epoch, offset + 1, Date.now(), type, text, isJson);
    this.log.append(message);
    this.deliver(message);
    return message;
  }

  follow(feed: string, sink: MessageSink): undefined {
    this.sinks.set(feed, sink);
  }

  unfollow(feed: string): void {
    this.sinks.delete(feed);
  }

  async read(feed: string, start: Start): Promise<History> {
    return this.log.read(feed, start);
  }

  async close(): Promise<void> {
    this.sinks.clear();
    this.log.clear();
  }

  /** One message after the other: what somebody publishes in answer to one is delivered when that has reached everybody. */
  private deliver(message: PublishedMessage): void {
    this.undelivered.push(message);
    if (this.undelivered.length > 1) return;
    try {
      for (const next of this.undelivered) this.sinks.get(next.feed)?.next(next);
    } finally {
      this.undelivered = [];
    }
  }
}
