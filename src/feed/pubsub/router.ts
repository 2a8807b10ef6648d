import type { Broker } from '../broker/broker.js';
import { BrokerUnavailableError } from '../errors/broker.errors.js';
import { FeedException } from '../errors/feed-exception.js';
import type { Start, StartOf } from '../message/position.js';
import type { Measures } from '../stats/measures.js';
import { Replay } from './replay.js';
import type { RuleSet } from './rules.js';
import type { Snapshots } from './snapshots.js';
import { type Subscriber, Topic } from './topic.js';

/** Knows the topic of each feed that has subscribers here, and replays history to those that come. */
export class Router {
  private readonly topics = new Map<string, Topic>();

  /**
   * @param pageBytes how many bytes of history a subscriber may have waiting
   * @param onPresence told when a feed gets its first subscriber in this process, and when it loses its last
   */
  constructor(
    private readonly broker: Broker,
    private readonly rules: RuleSet,
    private readonly snapshots: Snapshots,
    readonly measures: Measures,
    private readonly pageBytes: number,
    private readonly onPresence: (feed: string, hasSubscribers: boolean) => void,
  ) {}

  /** How many feeds have subscribers. */
  get size(): number {
    return this.topics.size;
  }

  /** The feeds that have subscribers. */
  feeds(): IterableIterator<string> {
    return this.topics.keys();
  }

  topic(feed: string): Topic | undefined {
    return this.topics.get(feed);
  }

  /** Whether those that come to a feed without a position get something that is stored, or a snapshot. */
  replays(feed: string): boolean {
    return this.rules.startOf(feed) !== 'end' || this.rules.of(feed)?.snapshot !== undefined;
  }

  /**
   * Checks that feeds take one more subscriber each.
   *
   * @throws FeedException FEED_UNAVAILABLE (503)
   */
  checkRoom(feeds: readonly string[]): void {
    for (const feed of feeds) {
      const { maxSubscribers = Number.POSITIVE_INFINITY } = this.rules.of(feed) ?? {};
      if ((this.topics.get(feed)?.size ?? 0) < maxSubscribers) continue;
      const message = `The feed "${feed}" has ${maxSubscribers} subscribers, as many as it may have.`;
      throw new FeedException('FEED_UNAVAILABLE', { message });
    }
  }

  /** The feeds with the most subscribers, the most first. */
  busiest(most: number): { id: string; subscribers: number }[] {
    const found: Topic[] = [];
    for (const topic of this.topics.values()) {
      if (found.length === most && topic.size <= (found.at(-1)?.size ?? 0)) continue;
      const place = found.findIndex(({ size }) => size < topic.size);
      found.splice(place < 0 ? found.length : place, 0, topic);
      found.length = Math.min(found.length, most);
    }
    return found.map(({ feed, size }) => ({ id: feed, subscribers: size }));
  }

  /**
   * Subscribes to feeds. From this call on the subscriber gets their live messages; it holds them back until it has sent the replay
   * that this resolves with, which may contain some of them.
   *
   * @param since where to begin on each feed; undefined for live messages, and what the rules of the feeds replay
   * @param hidesPositions whether the replay leaves the subscriber's position where it is
   * @throws what the broker fails with; the subscriber is then subscribed to none of the feeds
   */
  async subscribe(subscriber: Subscriber, feeds: readonly string[], since: StartOf | undefined, hidesPositions = false): Promise<Replay> {
    try {
      for (const feed of feeds) this.add(subscriber, feed);
      const startOf = this.startsBy(since);
      const isResumed = since !== undefined && (feeds.length === 0 || feeds.some((feed) => since(feed) !== undefined));
      const { broker, pageBytes } = this;
      // Brokers read behind the subscriptions: asked for in the same turn, both may go one way.
      const replay = Replay.open(broker, { feeds, startOf, isResumed, hidesPositions, pageBytes, tellsEnd: true });
      replay.catch(() => {}); // a subscription may fail first
      for (const feed of feeds) {
        const ready = this.topics.get(feed)?.ready;
        if (ready) await ready;
      }
      // A listener that publishes in response to the subscriber publishes a live message: history is requested already.
      for (const feed of feeds) this.announce(feed);
      return await replay;
    } catch (error) {
      for (const feed of feeds) this.unsubscribe(subscriber, feed);
      throw error;
    }
  }

  /**
   * Puts the snapshots of the feeds on which a subscriber has no position before a replay, where rules have some. They are asked for after the
   * subscriber has subscribed.
   *
   * @param since where the subscriber wanted to begin
   * @throws FeedException FEED_UNAVAILABLE (503), or the HttpException that a snapshot failed with; the subscriber is still subscribed
   */
  addSnapshots(replay: Replay, since: StartOf | undefined): Promise<void> | undefined {
    return this.rules.hasSnapshots ? this.prependSnapshots(replay, since) : undefined;
  }

  private async prependSnapshots(replay: Replay, since: StartOf | undefined): Promise<void> {
    const snapshots = replay.feeds.flatMap((feed) => {
      const { snapshot } = this.rules.of(feed) ?? {};
      return snapshot && since?.(feed) === undefined ? [this.snapshots.of(feed, snapshot)] : [];
    });
    for (const message of await Promise.all(snapshots)) replay.prepend(message);
  }

  /** Subscribes to the live messages of feeds alone; while the broker is unavailable, to those after it is available again. */
  async subscribeLive(subscriber: Subscriber, feeds: readonly string[]): Promise<void> {
    for (const feed of feeds) this.add(subscriber, feed);
    for (const feed of feeds) await this.topics.get(feed)?.ready?.catch(ignoreUnavailable);
    for (const feed of feeds) this.announce(feed);
  }

  /** Subscribes to the live messages of feeds from the time on when the broker delivers them. */
  subscribeSoon(subscriber: Subscriber, feeds: readonly string[]): void {
    for (const feed of feeds) this.add(subscriber, feed);
    for (const feed of feeds) this.announce(feed);
  }

  unsubscribe(subscriber: Subscriber, feed: string): void {
    const topic = this.topics.get(feed);
    if (!topic) return;
    topic.delete(subscriber);
    if (topic.size > 0) return;
    this.topics.delete(feed);
    this.broker.unsubscribe(feed);
    if (topic.isAnnounced) this.onPresence(feed, false);
  }

  /**
   * Replays what a subscriber has missed.
   *
   * @param since where it begins on each feed; undefined for what the rule of the feed replays
   */
  replayFrom(feeds: readonly string[], since: StartOf | undefined): Promise<Replay> {
    return Replay.open(this.broker, { feeds, startOf: this.startsBy(since), isResumed: true, pageBytes: this.pageBytes });
  }

  private startsBy(since: StartOf | undefined): (feed: string) => Start {
    return (feed) => since?.(feed) ?? this.rules.startOf(feed);
  }

  /** Tells that a feed has subscribers, once. The first one may have left while the broker was waited for. */
  private announce(feed: string): void {
    const topic = this.topics.get(feed);
    if (!topic || topic.isAnnounced) return;
    topic.isAnnounced = true;
    this.onPresence(feed, true);
  }

  private add(subscriber: Subscriber, feed: string): void {
    const known = this.topics.get(feed);
    const topic = known ?? new Topic(feed, this.rules.of(feed)?.conflate ?? false, this.measures.of(feed));
    topic.add(subscriber);
    if (known) return;
    this.topics.set(feed, topic);
    const ready = this.broker.subscribe(feed, topic);
    if (!ready) return;
    topic.ready = ready.finally(() => {
      topic.ready = undefined;
    });
    topic.ready.catch(() => {}); // the subscribers that wait for it get the error
  }
}

function ignoreUnavailable(error: unknown): void {
  if (!(error instanceof BrokerUnavailableError)) throw error;
}
