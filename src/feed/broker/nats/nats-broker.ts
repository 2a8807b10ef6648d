import { JetStreamApiError } from '@nats-io/jetstream';
import { reasonOf } from '../../errors/broker.errors.js';
import { type Content, type StoredMessage, storedMessage } from '../../message/message.js';
import type { Position, Start } from '../../message/position.js';
import type { BrokerContext, BrokerFactory, History, MessageSink, PublishConditions, StoredFeed, StoredIds } from '../broker.js';
import type { IdRange } from '../first-ids.js';
import { SessionBroker } from '../session-broker.js';
import { type NatsBrokerOptions, type NatsSettings, settingsOf } from './nats.options.js';
import { NatsFeeds } from './nats-feeds.js';
import { NatsSession } from './nats-session.js';

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
  return (context) => new NatsBroker(settings, context).start();
}

class NatsBroker extends SessionBroker<NatsSession> {
  readonly name = 'nats';
  private readonly feeds: NatsFeeds;
  /** What hears of signals, by name. */
  private readonly listeners = new Map<string, (text: string) => void>();
  /** Whether NATS is reachable and has rejected the last message. */
  private isRejecting = false;

  constructor(
    private readonly settings: NatsSettings,
    context: BrokerContext,
  ) {
    super('NATS', context);
    this.feeds = new NatsFeeds(context);
  }

  override get historyBytes(): number {
    return this.feeds.historyBytes;
  }

  publish(feed: string, content: Content, conditions?: PublishConditions): Promise<StoredMessage> {
    return this.withSession(async (session) => {
      const epoch = this.feeds.epoch as string;
      const { offset, time } = await this.noteRejection(session.publisher.publish(feed, content, conditions));
      return storedMessage(feed, epoch, offset, time, content);
    });
  }

  clear(feed: string, expected?: Position): Promise<void> {
    return this.withSession((session) => this.noteRejection(session.publisher.clear(feed, expected)));
  }

  remember(name: string, until: number): Promise<void> {
    return this.withSession((session) => session.names.remember(name, until));
  }

  remembered(): Promise<ReadonlyMap<string, number>> {
    return this.withSession((session) => session.names.all());
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
      return this.feeds.stored.read(feed, start, limitBytes);
    });
  }

  override storedIds(range: IdRange): Promise<StoredIds> {
    return this.withSession(async (session) => {
      await session.catchUp();
      return this.feeds.stored.storedIds(range);
    });
  }

  override measure(feeds: readonly string[]): Promise<(StoredFeed | undefined)[]> {
    return this.withSession(async (session) => {
      await session.catchUp();
      return this.feeds.stored.measure(feeds);
    });
  }

  override signal(name: string, text: string): void {
    this.session?.signals.send(name, text);
  }

  override listen(name: string, hear: (text: string) => void): void {
    this.listeners.set(name, hear);
    this.session?.signals.listen(name, hear);
  }

  override async close(): Promise<void> {
    await super.close();
    this.feeds.clear();
  }

  protected open(signal: AbortSignal): Promise<NatsSession> {
    const { settings, context, feeds } = this;
    return NatsSession.open({ settings, bounds: context, feeds, signal });
  }

  protected async begin({ signals }: NatsSession): Promise<boolean> {
    for (const [name, hear] of this.listeners) signals.listen(name, hear);
    if (!this.isRejecting) this.outage.end();
    return true;
  }

  /** A NATS that rejects messages, as a full stream does that discards new ones, is unavailable until it takes one. */
  private async noteRejection<T>(publishing: Promise<T>): Promise<T> {
    try {
      const stored = await publishing;
      if (this.isRejecting) this.outage.end();
      this.isRejecting = false;
      return stored;
    } catch (error) {
      if (error instanceof JetStreamApiError) {
        this.isRejecting = true;
        this.outage.note(`it rejects messages: ${reasonOf(error)}`);
      }
      throw error;
    }
  }

  /** NATS has answered that it does not store it. */
  protected override isNotStored(cause: unknown): boolean {
    return cause instanceof JetStreamApiError;
  }
}
