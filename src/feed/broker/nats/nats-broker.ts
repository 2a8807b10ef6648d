import { setTimeout as sleep } from 'node:timers/promises';
import { BrokerUnavailableError, MessageTooLargeError, reasonOf } from '../../errors/broker.errors.js';
import { type Content, type StoredMessage, storedMessage } from '../../message/message.js';
import type { Start } from '../../message/position.js';
import { backoff } from '../../time/backoff.js';
import type { Broker, BrokerContext, BrokerFactory, History, MessageSink } from '../broker.js';
import { Outage } from '../outage.js';
import { type NatsBrokerOptions, type NatsSettings, settingsOf } from './nats.options.js';
import { NatsFeeds } from './nats-feeds.js';
import { NatsSession } from './nats-session.js';

/** How long a start waits for NATS, in milliseconds. */
const startMs = 5000;
/** The delays before the connection is tried again. */
const reconnectDelays = { minMs: 150, maxMs: 3000 };

/**
 * Carries feeds between processes with NATS 2.9 or later and JetStream. Needs `@nats-io/transport-node` and `@nats-io/jetstream`.
 *
 * One stream has the messages of all feeds, and each process reads all of it into memory, within the bounds of history: reads then cost
 * NATS one request for all that are made at the same time.
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
  /** Undefined while NATS is unavailable. */
  private session: NatsSession | undefined = undefined;
  private lastCause = new Error('no answer yet');
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

  /** Resolves when NATS is available, or after some seconds. */
  async start(): Promise<void> {
    const timer = new AbortController();
    await new Promise<void>((resolve) => {
      this.running = this.run(resolve);
      sleep(startMs, undefined, timer).then(resolve, () => {});
    });
    timer.abort();
  }

  async publish(feed: string, content: Content): Promise<StoredMessage> {
    return this.withSession(async (session) => {
      const { epoch } = this.feeds;
      const { offset, time } = await session.publish(feed, content);
      return storedMessage(feed, epoch as string, offset, time, content);
    });
  }

  subscribe(feed: string, sink: MessageSink): Promise<void> {
    this.feeds.subscribe(feed, sink);
    return this.withSession((session) => session.catchUp());
  }

  unsubscribe(feed: string): void {
    this.feeds.unsubscribe(feed);
  }

  read(feed: string, start: Start, limitBytes: number): Promise<History> {
    return this.withSession(async (session) => {
      await session.catchUp();
      return this.feeds.read(feed, start, limitBytes);
    });
  }

  async close(): Promise<void> {
    this.closing.abort(new Error('the broker is closed'));
    await this.running;
    this.feeds.clear();
  }

  private async withSession<T>(work: (session: NatsSession) => Promise<T>): Promise<T> {
    try {
      if (!this.session) throw this.lastCause;
      return await work(this.session);
    } catch (cause) {
      if (cause instanceof MessageTooLargeError) throw cause;
      throw new BrokerUnavailableError(`NATS is unavailable: ${reasonOf(cause)}`, { cause });
    }
  }

  /** One session after the other, until the broker is closed. */
  private async run(onReady: () => void): Promise<void> {
    const { settings, context, feeds, outage, closing } = this;
    const { signal } = closing;
    for (let attempt = 0; !signal.aborted; attempt += 1) {
      try {
        const { isFirst } = this;
        const session = await NatsSession.open({ settings, bounds: context, feeds, isFirst, signal });
        this.isFirst = false;
        this.session = session;
        outage.end();
        attempt = 0;
        onReady();
        this.lastCause = await session.ended;
      } catch (error) {
        this.lastCause = error as Error;
      }
      this.session = undefined;
      if (signal.aborted) break;
      outage.note(reasonOf(this.lastCause));
      await sleep(backoff(attempt, reconnectDelays), undefined, { signal }).catch(() => {});
    }
    onReady();
  }
}
