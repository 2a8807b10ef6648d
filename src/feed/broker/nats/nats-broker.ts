import { setTimeout as sleep } from 'node:timers/promises';
import { BrokerUnavailableError, MessageTooLargeError, reasonOf } from '../../errors/broker.errors.js';
import { type Content, type StoredMessage, storedMessage } from '../../message/message.js';
import { type Start } from '../../message/position.js';
import { type Broker, type BrokerContext, type BrokerFactory, type History, type MessageSink } from '../broker.js';
import { Outage } from '../outage.js';
import { type NatsBrokerOptions, type NatsSettings, settingsOf } from './nats.options.js';
import { NatsFeeds } from './nats-feeds.js';
import { NatsSession } from './nats-session.js';

/** How long a start waits for the engine, in milliseconds. */
const startMs = 5000;
/** The shortest and the longest time between two attempts to reach the engine, in milliseconds. */
const [leastWaitMs, mostWaitMs] = [100, 2000];

/**
 * Keeps feeds in a JetStream stream, from which every process has all messages in the same order and under the same ids. A process
 * keeps in memory what the bounds allow, so that a read costs NATS a question at most, which all who read at that moment share.
 *
 * Takes NATS 2.9 or later, with JetStream, and `@nats-io/transport-node` and `@nats-io/jetstream`.
 *
 * @param options a URL, such as `nats://host1:4222,host2:4222?prefix=orders`, or options
 * @throws FeedOptionsError when an option is wrong
 */
export function natsBroker(options: string | NatsBrokerOptions): BrokerFactory {
  const settings = settingsOf(options);
  return async (context) => {
    const broker = new NatsBroker(settings, context);
    await broker.start();
    return broker;
  };
}

class NatsBroker implements Broker {
  readonly name = 'nats';
  private readonly feeds: NatsFeeds;
  private readonly outage: Outage;
  /** The one that works; undefined while the engine is away. */
  private session: NatsSession | undefined = undefined;
  private lastCause = new Error('it has not answered yet');
  private isFirst = true;
  private readonly closing = new AbortController();
  private running: Promise<void> | undefined = undefined;

  constructor(
    private readonly settings: NatsSettings,
    private readonly context: BrokerContext,
  ) {
    this.feeds = new NatsFeeds(context);
    this.outage = new Outage('NATS', context.log);
  }

  get unavailableSince(): number | undefined {
    return this.outage.since;
  }

  get unavailableReason(): string | undefined {
    return this.outage.reason;
  }

  /** Resolves when the engine is there, or after some seconds without it. */
  async start(): Promise<void> {
    const timer = new AbortController();
    await new Promise<void>((resolve) => {
      this.running = this.run(resolve);
      sleep(startMs, undefined, timer).then(resolve, () => {});
    });
    timer.abort();
  }

  async publish(feed: string, content: Content): Promise<StoredMessage> {
    return this.withEngine(async (session) => {
      const { type, text, isJson } = content;
      const { epoch } = this.feeds;
      const { offset, time } = await session.publish(feed, content);
      return storedMessage(feed, epoch as string, offset, time, { type, text, isJson });
    });
  }

  subscribe(feed: string, sink: MessageSink): Promise<void> {
    this.feeds.follow(feed, sink);
    return this.withEngine((session) => session.catchUp());
  }

  unsubscribe(feed: string): void {
    this.feeds.unfollow(feed);
  }

  read(feed: string, start: Start, limitBytes: number): Promise<History> {
    return this.withEngine(async (session) => {
      await session.catchUp();
      return this.feeds.read(feed, start, limitBytes);
    });
  }

  async close(): Promise<void> {
    this.closing.abort(new Error('the broker has been closed'));
    await this.running;
    this.feeds.clear();
  }

  private async withEngine<T>(work: (session: NatsSession) => Promise<T>): Promise<T> {
    try {
      if (!this.session) throw this.lastCause;
      return await work(this.session);
    } catch (cause) {
      if (cause instanceof MessageTooLargeError) throw cause;
      throw new BrokerUnavailableError(`NATS does not do its work: ${reasonOf(cause)}`, { cause });
    }
  }

  /** One session after the other, until the broker is closed. */
  private async run(onReady: () => void): Promise<void> {
    const { settings, context, feeds, outage, closing } = this;
    const { signal } = closing;
    let wait = leastWaitMs;
    while (!signal.aborted) {
      try {
        const { isFirst } = this;
        const session = await NatsSession.open({ settings, bounds: context, feeds, isFirst, signal });
        this.isFirst = false;
        this.session = session;
        outage.end();
        wait = leastWaitMs;
        onReady();
        this.lastCause = await session.ended;
      } catch (error) {
        this.lastCause = error as Error;
      }
      this.session = undefined;
      if (signal.aborted) break;
      outage.note(reasonOf(this.lastCause));
      // Not all processes at once.
      await sleep(wait * (0.5 + Math.random()), undefined, { signal }).catch(() => {});
      wait = Math.min(wait * 2, mostWaitMs);
    }
    onReady();
  }
}
