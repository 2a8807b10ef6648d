import type { StoredMessage } from '../../message/message.js';
import { lostMessages, type RedisDelivery, type Subscription } from './redis-delivery.js';
import type { RedisSession } from './redis-session.js';

/** Missed messages are read in stretches of offsets, so that few are in memory at a time: how long the first is, in microseconds, … */
const firstStretch = 1_000_000;
/** … and how many messages make the next one as long, instead of twice as long. */
const stretchMessages = 1000;

/** What has been read of a feed in a stretch and not been delivered yet. */
interface Unread {
  readonly subscription: Subscription;
  /** The offset of the newest message of all feeds when this was read. */
  readonly newest: number;
  /** The offset of the last message that was read, where the stretch has more. */
  readonly moreAfter: number | undefined;
  messages: readonly StoredMessage[];
}

/** Subscribes all feeds on a new session and delivers what they have missed, in the order of the offsets of all feeds. */
export class RedisCatchUp {
  private readonly all: readonly Subscription[];

  constructor(
    private readonly session: RedisSession,
    private readonly delivery: RedisDelivery,
  ) {
    this.all = delivery.all();
    delivery.adopt(session.newest);
  }

  /** @param maxAge how long a message is stored, in microseconds */
  async run(maxAge: number): Promise<void> {
    const { all, delivery, session } = this;
    await Promise.all(all.map(({ feed }) => session.subscribe(feed)));
    const newest = await session.beat();
    delivery.begin(all, newest);

    // Everything up to the delivery's offset has been delivered, however long some feeds have been silent, and older messages than history
    // are gone. Where an announcement never arrived, the first stretch has its message: each feed is read from its own last one on.
    const least = all.reduce((least, { last }) => Math.min(least, last as number), newest.offset);
    let from = Math.max(least, delivery.offset, newest.offset - maxAge);
    for (let length = firstStretch; from + length < newest.offset; ) {
      from += length;
      const { count } = await this.deliverUpTo(from);
      if (count < stretchMessages) length *= 2;
    }
    delivery.hold();
    const { end } = await this.deliverUpTo();
    delivery.goLive(all, end);
  }

  /** @param upTo the last offset. Default: that of the newest message when the first feed is read; later ones are held. */
  private async deliverUpTo(upTo?: number): Promise<{ end: number; count: number }> {
    let feeds = await Promise.all(this.all.map((subscription) => this.read(subscription, subscription.last as number, upTo)));
    const end = upTo ?? feeds[0]?.newest ?? this.delivery.offset;
    for (let count = 0; ; ) {
      // No further than the feed of which the least has been read.
      const covered = feeds.reduce((least, { moreAfter = end }) => Math.min(least, moreAfter), end);
      count += this.deliver(feeds, covered);
      if (covered === end) return { end, count };
      feeds = await Promise.all(
        feeds.map((feed) => (feed.moreAfter === covered ? this.read(feed.subscription, covered, upTo, end) : feed)),
      );
    }
  }

  /** Reads a page of a feed; tells its sink where messages are lost. What is lost after the stretch is told in the next one. */
  private async read(subscription: Subscription, after: number, upTo: number | undefined, last = upTo): Promise<Unread> {
    const { delivery, session } = this;
    const { feed, sink } = subscription;
    const epoch = delivery.received?.epoch as string;
    const page = await session.read({ feed, start: { epoch, offset: after }, upTo: last });
    if (page.epoch !== epoch) throw new Error(lostMessages);
    if (!delivery.has(subscription)) return { subscription, newest: page.offset, moreAfter: undefined, messages: [] };
    const [first] = page.messages;
    const isTrimmed = page.trimmed > (page.isExact ? after : Math.max(after, delivery.offset));
    if ((first || upTo === undefined) && (subscription.isLost || isTrimmed)) {
      subscription.isLost = false;
      sink.lost(first);
    }
    return { subscription, newest: page.offset, moreAfter: page.moreAfter, messages: page.messages };
  }

  /** Delivers what has been read up to an offset; returns how many messages that were. */
  private deliver(feeds: readonly Unread[], covered: number): number {
    const due: { subscription: Subscription; message: StoredMessage }[] = [];
    for (const feed of feeds) {
      const later = feed.messages.findIndex(({ offset }) => offset > covered);
      const count = later < 0 ? feed.messages.length : later;
      for (const message of feed.messages.slice(0, count)) due.push({ subscription: feed.subscription, message });
      feed.messages = feed.messages.slice(count);
    }
    due.sort((a, b) => a.message.offset - b.message.offset);
    for (const { subscription, message } of due) if (this.delivery.has(subscription)) this.delivery.deliver(subscription, message);
    return due.length;
  }
}
