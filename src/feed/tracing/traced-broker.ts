import { Broker, type History, type MessageSink, type PublishConditions } from '../broker/broker.js';
import { isOwnFeed } from '../message/feed-id.js';
import type { Content, StoredMessage } from '../message/message.js';
import type { Position, Start } from '../message/position.js';
import { withTrace } from '../message/trace.js';
import type { Destinations } from './destinations.js';
import type { FeedTracer, TracedMessage } from './feed-tracer.js';

/** A broker whose messages are traced. Without a tracer there is none of these, and nothing to pass on the way of a message. */
export class TracedBroker extends Broker {
  constructor(
    private readonly broker: Broker,
    private readonly tracer: FeedTracer,
    private readonly destinations: Destinations,
  ) {
    super();
    // What a broker may do without.
    if (broker.storedIds) this.storedIds = broker.storedIds.bind(broker);
    if (broker.measure) this.measure = broker.measure.bind(broker);
    if (broker.signal) this.signal = broker.signal.bind(broker);
    if (broker.listen) this.listen = broker.listen.bind(broker);
  }

  get name(): string {
    return this.broker.name;
  }

  get unavailableSince(): number | undefined {
    return this.broker.unavailableSince;
  }

  get unavailableReason(): string | undefined {
    return this.broker.unavailableReason;
  }

  async publish(feed: string, content: Content, conditions?: PublishConditions): Promise<StoredMessage> {
    if (isOwnFeed(feed)) return this.broker.publish(feed, content, conditions);
    const append = (trace: string | undefined) => this.broker.publish(feed, withTrace(content, trace), conditions);
    const { trace: _, ...message } = await this.tracer.publish(this.destinations.of(feed), append);
    return message; // where its key was known, it is another message's trace
  }

  subscribe(feed: string, sink: MessageSink): Promise<void> | undefined {
    return this.broker.subscribe(feed, isOwnFeed(feed) ? sink : new TracedSink(sink, this.tracer, this.destinations.of(feed)));
  }

  unsubscribe(feed: string): void {
    this.broker.unsubscribe(feed);
  }

  read(feed: string, start: Start, limitBytes: number): Promise<History> {
    return this.broker.read(feed, start, limitBytes);
  }

  clear(feed: string, expected?: Position): Promise<void> {
    return this.broker.clear(feed, expected);
  }

  remember(name: string, until: number): Promise<void> {
    return this.broker.remember(name, until);
  }

  remembered(): Promise<ReadonlyMap<string, number>> {
    return this.broker.remembered();
  }

  override get historyBytes(): number | undefined {
    return this.broker.historyBytes;
  }

  close(): Promise<void> {
    return this.broker.close();
  }
}

class TracedSink implements MessageSink {
  constructor(
    private readonly sink: MessageSink,
    private readonly tracer: FeedTracer,
    private readonly destination: string,
  ) {}

  next(message: StoredMessage): void {
    if (message.trace === undefined) this.sink.next(message);
    else this.tracer.deliver(this.destination, message as TracedMessage, () => this.sink.next(message));
  }

  lost(oldest: StoredMessage | undefined): void {
    this.sink.lost(oldest);
  }
}
