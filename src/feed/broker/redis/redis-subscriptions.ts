import type { Position } from '../../message/position.js';
import { Batches } from '../batches.js';
import { type Page, type ReadOptions, readAtOnce } from './redis-page.js';

/** How many feeds are subscribed, or unsubscribed, with one command. */
const subscribedAtOnce = 500;

/** Reads no stream: where Redis is. */
const positionAlone: ReadOptions = { feed: '', start: 'end' };

/** The commands of a session that subscriptions are made with. */
interface SubscriptionCommands {
  subscribe(feeds: readonly string[]): Promise<unknown>;
  unsubscribe(feeds: readonly string[]): Promise<unknown>;
  /** Resolves with a page for each of the options; undefined for one that found no room in the reply, which the first one always does. */
  read(options: readonly ReadOptions[]): Promise<readonly (Page | undefined)[]>;
}

interface Change {
  readonly feed: string;
  readonly isWanted: boolean;
  /** What is read of the feed behind the change; undefined until it is requested, or the change is under way. */
  read: ReadOptions | undefined;
}

/** What was read behind a change. */
interface Changed {
  /** Where Redis was then. */
  readonly position: Position;
  readonly read: ReadOptions;
  readonly page: Page | undefined;
}

/** Subscribes to feeds, many with one command. What is asked to be read of them in the same turn is read right behind, with one as well. */
export class RedisSubscriptions {
  private readonly changes = new Batches({ items: subscribedAtOnce, batches: 1 }, (changes: readonly Change[]) => this.make(changes));
  /** The subscriptions that are not confirmed yet. */
  private readonly pending = new Map<string, { readonly change: Change; readonly changed: Promise<Changed> }>();

  constructor(private readonly commands: SubscriptionCommands) {}

  /** Resolves with the position from which on the feed's messages are announced. */
  async subscribe(feed: string): Promise<Position> {
    const { changes, pending } = this;
    const change: Change = { feed, isWanted: true, read: undefined };
    const changed = changes.add(change);
    pending.set(feed, { change, changed });
    try {
      return (await changed).position;
    } finally {
      if (pending.get(feed)?.change === change) pending.delete(feed);
    }
  }

  async unsubscribe(feed: string): Promise<void> {
    await this.changes.add({ feed, isWanted: false, read: undefined });
  }

  /**
   * Reads behind the subscription of a feed that is not confirmed yet.
   *
   * @returns undefined where there is none, or it did not read this: it has to be read now
   */
  async readBehind(options: ReadOptions): Promise<Page | undefined> {
    const subscription = this.pending.get(options.feed);
    if (!subscription) return undefined;
    subscription.change.read ??= options;
    const { read, page } = await subscription.changed;
    return read === options ? page : undefined;
  }

  /** Makes the last change of each feed. */
  private async make(changes: readonly Change[]): Promise<Changed[]> {
    const last = new Map(changes.map((change) => [change.feed, change]));
    const feeds = [...last.keys()];
    const [wanted, others] = [true, false].map((isWanted) => feeds.filter((feed) => last.get(feed)?.isWanted === isWanted));
    const changing: Promise<unknown>[] = [];
    if (others.length > 0) changing.push(this.commands.unsubscribe(others));
    if (wanted.length > 0) changing.push(this.commands.subscribe(wanted));
    // Behind them: a message between the two is announced, and is not taken for a missing one.
    const changed = new Map<string, Changed>();
    for (let from = 0; from < feeds.length; from += readAtOnce) {
      const some = feeds.slice(from, from + readAtOnce).map((feed) => last.get(feed) as Change);
      changing.push(this.readBehindChanges(some, changed));
    }
    await Promise.all(changing);
    return changes.map(({ feed }) => changed.get(feed) as Changed);
  }

  private async readBehindChanges(changes: readonly Change[], changed: Map<string, Changed>): Promise<void> {
    for (const change of changes) change.read ??= positionAlone;
    const pages = await this.commands.read(changes.map(({ read }) => read as ReadOptions));
    const position = pages[0] as Page;
    for (const [n, { feed, read }] of changes.entries()) changed.set(feed, { position, read: read as ReadOptions, page: pages[n] });
  }
}
