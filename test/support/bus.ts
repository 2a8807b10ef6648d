import type { Broker, MessageSink } from '../../src/feed/broker/broker.js';
import { MemoryBroker } from '../../src/feed/broker/memory/memory-broker.js';
import type { StoredMessage } from '../../src/feed/message/message.js';
import { roomy } from './brokers.js';

/** A server in this process: each broker on it gets what any of them publishes, at once. */
export class Bus {
  private readonly log = new MemoryBroker(roomy);
  private readonly nodes = new Set<Map<string, MessageSink>>();
  /** Called with each message when all nodes have it. */
  onDelivered: (message: StoredMessage) => void = () => {};

  /** @param misses whether the node gets to know instead that it has missed a message */
  broker(misses: (message: StoredMessage) => boolean = () => false): Broker {
    const sinks = new Map<string, MessageSink>();
    this.nodes.add(sinks);
    return Object.assign(Object.create(this.log) as Broker, {
      publish: this.log.publish.bind(this.log),
      subscribe: (feed: string, sink: MessageSink) => {
        sinks.set(feed, {
          next: (message) => (misses(message) ? sink.lost(undefined) : sink.next(message)),
          lost: (oldest) => sink.lost(oldest),
        });
        this.log.subscribe(feed, {
          next: (message) => {
            for (const node of this.nodes) node.get(feed)?.next(message);
            this.onDelivered(message);
          },
          lost: (oldest) => {
            for (const node of this.nodes) node.get(feed)?.lost(oldest);
          },
        });
      },
      unsubscribe: (feed: string) => void sinks.delete(feed),
      close: async () => void this.nodes.delete(sinks),
    });
  }
}
