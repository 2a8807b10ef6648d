import type { Broker, MessageSink, Start } from '../../src/feed/broker/broker.js';
import type { PublishedMessage } from '../../src/feed/message/message.js';

/** What came of one feed: messages, and `lost` where some are gone. */
export type Seen = (PublishedMessage | 'lost')[];

/** A process that follows feeds through its broker, and writes down what comes. */
export class Node {
  /** What came of all feeds, in the order in which it came. */
  readonly all: PublishedMessage[] = [];
  private readonly seen = new Map<string, Seen>();

  constructor(readonly broker: Broker) {}

  of(feed: string): Seen {
    const seen = this.seen.get(feed) ?? [];
    this.seen.set(feed, seen);
    return seen;
  }

  texts(feed: string): string[] {
    return this.of(feed).map((message) => (message === 'lost' ? 'lost' : message.text));
  }

  async follow(...feeds: string[]): Promise<void> {
    await Promise.all(feeds.map((feed) => this.broker.follow(feed, this.sink(feed))));
  }

  async publish(feed: string, text: string): Promise<PublishedMessage> {
    return this.broker.publish(feed, { type: undefined, text, isJson: false });
  }

  async read(feed: string, start: Start): Promise<string[]> {
    return (await this.broker.read(feed, start)).messages.map(({ text }) => text);
  }

  sink(feed: string): MessageSink {
    const seen = this.of(feed);
    return {
      next: (message) => {
        seen.push(message);
        this.all.push(message);
      },
      lost: () => seen.push('lost'),
    };
  }
}
