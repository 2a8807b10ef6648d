import type { Broker, History, MessageSink } from '../../src/feed/broker/broker.js';
import type { StoredMessage } from '../../src/feed/message/message.js';
import type { Start } from '../../src/feed/message/position.js';
import { until } from './until.js';

export const numbers = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, n) => `${from + n}`);

export const positionOf = ({ epoch, offset }: { epoch: string; offset: number }) => ({ epoch, offset });

/** What came of one feed: messages, and `lost` where some are gone. */
export type Seen = (StoredMessage | 'lost')[];

/** A process that subscribes to feeds through its broker, and records what comes. */
export class Node {
  /** What came of all feeds, in the order in which it came. */
  readonly all: StoredMessage[] = [];
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

  async subscribe(...feeds: string[]): Promise<void> {
    await Promise.all(feeds.map((feed) => this.broker.subscribe(feed, this.sink(feed))));
  }

  async publish(feed: string, text: string): Promise<StoredMessage> {
    return this.broker.publish(feed, { type: undefined, text, isJson: false });
  }

  /** Publishes numbers, one after the other. */
  async count(feed: string, from: number, to: number): Promise<StoredMessage[]> {
    const messages: StoredMessage[] = [];
    for (const text of numbers(from, to)) messages.push(await this.publish(feed, text));
    return messages;
  }

  /** Publishes, and tells whether that succeeded. */
  canPublish(feed: string, text: string): Promise<boolean> {
    return this.publish(feed, text).then(
      () => true,
      () => false,
    );
  }

  get isAvailable(): boolean {
    return this.broker.unavailableSince === undefined;
  }

  /** Waits until the broker has lost its server and found it again. */
  async reconnects(): Promise<void> {
    await until(() => !this.isAvailable);
    await until(() => this.isAvailable);
  }

  /** Whether all that came, came in the order of the offsets, and once. */
  get isInOrder(): boolean {
    return this.all.every(({ offset }, n) => n === 0 || offset > (this.all[n - 1] as StoredMessage).offset);
  }

  /** The pages of history from a start on: each begins where the one before it ends. */
  async pages(feed: string, start: Start, limitBytes: number): Promise<History[]> {
    const pages: History[] = [];
    for (let from = start; ; ) {
      const page = await this.broker.read(feed, from, limitBytes);
      pages.push(page);
      if (!page.hasMore) return pages;
      from = { epoch: page.after.epoch, offset: page.end };
    }
  }

  /** All of history from a start on. */
  async history(feed: string, start: Start): Promise<History> {
    const pages = await this.pages(feed, start, Number.MAX_SAFE_INTEGER);
    const [first, last] = [pages[0] as History, pages.at(-1) as History];
    return {
      ...last,
      after: first.after,
      isReset: pages.some(({ isReset }) => isReset),
      messages: pages.flatMap(({ messages }) => messages),
    };
  }

  async read(feed: string, start: Start): Promise<string[]> {
    return (await this.history(feed, start)).messages.map(({ text }) => text);
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
