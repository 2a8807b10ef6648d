import { setTimeout as sleep } from 'node:timers/promises';
import { Broker, type History, type MessageSink, type PublishConditions } from '../../../src/feed/broker/broker.js';
import { BrokerUnavailableError } from '../../../src/feed/errors/broker.errors.js';
import type { Content, StoredMessage } from '../../../src/feed/message/message.js';
import type { Start } from '../../../src/feed/message/position.js';

const failure = () => new BrokerUnavailableError('it fails as the test asks');

/** A broker that is slow, or fails, when a test says so. */
export class FaultyBroker extends Broker {
  /** How many of the next calls fail. */
  failingReads = 0;
  failingSubscribes = 0;
  failingPublishes = 0;
  /** Whether what a failing `publish()` was given is stored all the same. */
  storesFailing = false;
  private held: (() => void)[] | undefined = undefined;

  constructor(private readonly broker: Broker) {
    super();
  }

  get name() {
    return this.broker.name;
  }

  get unavailableSince() {
    return this.broker.unavailableSince;
  }

  get unavailableReason() {
    return this.broker.unavailableReason;
  }

  /** Lets no read come back, until they are released. */
  holdReads(): void {
    this.held ??= [];
  }

  release(): void {
    const held = this.held ?? [];
    this.held = undefined;
    for (const resolve of held) resolve();
  }

  heal(): void {
    this.release();
    this.failingReads = 0;
    this.failingSubscribes = 0;
    this.failingPublishes = 0;
  }

  async publish(feed: string, content: Content, conditions?: PublishConditions): Promise<StoredMessage> {
    if (this.failingPublishes === 0 || feed.startsWith('$')) return this.broker.publish(feed, content, conditions);
    this.failingPublishes -= 1;
    if (this.storesFailing) await this.broker.publish(feed, content, conditions);
    throw failure();
  }

  subscribe(feed: string, sink: MessageSink): Promise<void> | undefined {
    const ready = this.broker.subscribe(feed, sink);
    if (this.failingSubscribes === 0 || feed.startsWith('$')) return ready;
    this.failingSubscribes -= 1;
    return (async () => {
      await ready;
      throw failure();
    })();
  }

  unsubscribe(feed: string): void {
    this.broker.unsubscribe(feed);
  }

  async read(feed: string, start: Start, limitBytes: number): Promise<History> {
    if (feed.startsWith('$')) return this.broker.read(feed, start, limitBytes);
    const { held } = this;
    const history = await this.broker.read(feed, start, limitBytes);
    if (held && this.held === held) await new Promise<void>((resolve) => held.push(resolve));
    if (this.failingReads === 0) return history;
    this.failingReads -= 1;
    throw failure();
  }

  clear(feed: string): Promise<void> {
    return this.broker.clear(feed);
  }

  remember(name: string, until: number): Promise<void> {
    return this.broker.remember(name, until);
  }

  remembered(): Promise<ReadonlyMap<string, number>> {
    return this.broker.remembered();
  }

  async close(): Promise<void> {
    this.heal();
    await sleep(0); // what was held comes back first
    await this.broker.close();
  }
}
