import { type Broker, BrokerUnavailableError, type Start } from '../broker/broker.js';
import { matchesFeed } from '../message/feed-pattern.js';
import { type Replay, replayOf } from './replay.js';
import { type Follower, Topic } from './topic.js';

/** How the feeds that a pattern names behave. */
export interface FeedRule {
  /** `latest` gives each new follower the last message at once, as long as history keeps it. Default: nothing. */
  readonly replay?: 'latest';
  /** Whether a follower that is slow skips to the newest message instead of getting each one. Default: false. */
  readonly conflate?: boolean;
}

/** Rules by pattern: an id, or the beginning of one and a `*`. The most particular that matches counts. */
export type FeedRules = Readonly<Record<string, FeedRule>>;

/** Told when a feed gets its first follower in this process, and when it loses its last. */
export type PresenceListener = (feed: string, isFollowed: boolean) => void;

/** Knows who follows which feed: takes messages from the broker and gives them to the followers. */
export class Router {
  private readonly topics = new Map<string, Topic>();
  /** The most particular first: an id, then what says more of one. */
  private readonly rules: [pattern: string, rule: FeedRule][];

  constructor(
    private readonly broker: Broker,
    rules: FeedRules,
    private readonly onPresence: PresenceListener,
  ) {
    const isWide = (pattern: string) => Number(pattern.endsWith('*'));
    this.rules = Object.entries(rules).sort(([one], [other]) => isWide(one) - isWide(other) || other.length - one.length);
  }

  /** How many feeds are followed. */
  get size(): number {
    return this.topics.size;
  }

  topic(feed: string): Topic | undefined {
    return this.topics.get(feed);
  }

  /** The feeds with the most followers, the most first. */
  busiest(most: number): { id: string; followers: number }[] {
    const found: Topic[] = [];
    for (const topic of this.topics.values()) {
      if (found.length === most && topic.size <= (found.at(-1)?.size ?? 0)) continue;
      const place = found.findIndex(({ size }) => size < topic.size);
      found.splice(place < 0 ? found.length : place, 0, topic);
      found.length = Math.min(found.length, most);
    }
    return found.map(({ feed, size }) => ({ id: feed, followers: size }));
  }

  /**
   * Adds a follower to feeds. From this call on it gets their live messages; it holds them back until it has what this resolves
   * with, which may have some of them, too.
   *
   * @param since where to begin; undefined for what is live, and what the feeds' rules replay
   * @throws what the broker fails with; the follower then follows none of the feeds
   */
  async follow(follower: Follower, feeds: readonly string[], since: Start | undefined): Promise<Replay> {
    try {
      for (const feed of feeds) this.add(follower, feed);
      for (const feed of feeds) {
        const ready = this.topics.get(feed)?.ready;
        if (ready) await ready;
      }
      // Asked for before anybody is told of a follower, who might publish in answer: that is live then.
      const reads =
        feeds.length > 0 ? feeds.map((feed) => this.broker.read(feed, since ?? this.startOf(feed))) : [this.broker.read('', 'end')];
      for (const feed of feeds) this.tell(feed);
      return replayOf(feeds, await Promise.all(reads), since !== undefined);
    } catch (error) {
      for (const feed of feeds) this.unfollow(follower, feed);
      throw error;
    }
  }

  /**
   * Adds a follower to feeds for what is live alone; while the broker's engine is away, for what is live once it is back.
   */
  async join(follower: Follower, feeds: readonly string[]): Promise<void> {
    for (const feed of feeds) this.add(follower, feed);
    for (const feed of feeds) await this.topics.get(feed)?.ready?.catch(unlessAway);
    for (const feed of feeds) this.tell(feed);
  }

  unfollow(follower: Follower, feed: string): void {
    const topic = this.topics.get(feed);
    if (!topic) return;
    topic.delete(follower);
    if (topic.size > 0) return;
    this.topics.delete(feed);
    this.broker.unfollow(feed);
    if (topic.isTold) this.onPresence(feed, false);
  }

  /** Tells that a feed is followed, unless that is known. Whoever was its first follower may have left while the broker was waited for. */
  private tell(feed: string): void {
    const topic = this.topics.get(feed);
    if (!topic || topic.isTold) return;
    topic.isTold = true;
    this.onPresence(feed, true);
  }

  private add(follower: Follower, feed: string): void {
    const known = this.topics.get(feed);
    const topic = known ?? new Topic(feed, this.ruleOf(feed)?.conflate ?? false);
    topic.add(follower);
    if (known) return;
    this.topics.set(feed, topic);
    const ready = this.broker.follow(feed, topic);
    if (!ready) return;
    topic.ready = ready.finally(() => {
      topic.ready = undefined;
    });
    topic.ready.catch(() => {}); // told to whoever waits for it
  }

  private startOf(feed: string): Start {
    return this.ruleOf(feed)?.replay === 'latest' ? 'newest' : 'end';
  }

  private ruleOf(feed: string): FeedRule | undefined {
    return this.rules.find(([pattern]) => matchesFeed(pattern, feed))?.[1];
  }
}

function unlessAway(error: unknown): void {
  if (!(error instanceof BrokerUnavailableError)) throw error;
}
