import { type FeedItem, PublishedMessage } from '../message/message.js';
import type { Mark, Replay } from '../pubsub/replay.js';

/** What a connection keeps until it can go out: before its head is out, while history is read, and while that goes out. */
export class SendQueue {
  failure: { error: unknown } | undefined = undefined;
  isComplete = false;
  /** Bytes of what has arrived, as far as they are known without encoding. */
  bytes = 0;
  private replayed: readonly (FeedItem | Mark)[] = [];
  private arrived: FeedItem[] = [];
  /** The first that has not gone out, counted over both. */
  private next = 0;

  /** @param holds how many wait for something other than room: for the head, for history */
  constructor(private holds: number) {}

  get isEmpty(): boolean {
    return this.replayed.length + this.arrived.length === this.next;
  }

  /** Whether anything has arrived. */
  get hasArrived(): boolean {
    return this.arrived.length > 0;
  }

  get isReleased(): boolean {
    return this.holds === 0;
  }

  hold(): void {
    this.holds += 1;
  }

  release(): void {
    this.holds -= 1;
  }

  push(item: FeedItem): void {
    this.arrived.push(item);
    this.bytes += sizeOf(item);
  }

  shift(): FeedItem | Mark {
    const index = this.next - this.replayed.length;
    this.next += 1;
    if (index < 0) return this.replayed[this.next - 1];
    const item = this.arrived[index];
    this.bytes -= sizeOf(item);
    if (index >= mostGone) {
      this.replayed = [];
      this.arrived = this.arrived.slice(index + 1);
      this.next = 0;
    }
    return item;
  }

  /** As `push()`, in the place of what is there of the same feed. */
  pushLatest(message: PublishedMessage): void {
    const from = Math.max(0, this.next - this.replayed.length);
    const isOlder = (item: FeedItem, index: number) => index >= from && item instanceof PublishedMessage && item.feed === message.feed;
    this.bytes -= this.arrived.reduce<number>((sum, item, index) => sum + (isOlder(item, index) ? sizeOf(item) : 0), 0);
    this.arrived = this.arrived.filter((item, index) => !isOlder(item, index));
    this.push(message);
  }

  /** What has arrived is there whether it goes out or not: it counts no longer. */
  settle(): void {
    this.replayed = [...this.replayed.slice(this.next), ...this.arrived];
    this.arrived = [];
    this.next = 0;
    this.bytes = 0;
  }

  /** Puts a replay before what has arrived, and takes out of that what the replay covers. */
  replay({ items, covered }: Pick<Replay, 'items' | 'covered'>): void {
    const before = Math.min(this.next, this.replayed.length);
    const news = this.arrived
      .slice(this.next - before)
      .filter((item) => !(item instanceof PublishedMessage) || item.offset > (covered.get(item.feed) ?? -1));
    this.replayed = [...this.replayed.slice(before), ...items];
    this.arrived = news;
    this.next = 0;
    this.bytes = news.reduce<number>((sum, item) => sum + sizeOf(item), 0);
  }
}

/** How many that have gone out are kept until they are let go of together. */
const mostGone = 64;

/** What anything is taken to cost beside what is known of it, in bytes. */
const overhead = 256;

function sizeOf(item: FeedItem): number {
  if (item instanceof PublishedMessage) return overhead + item.text.length;
  if (typeof item === 'string') return overhead + item.length;
  return overhead + (item instanceof Uint8Array ? item.byteLength : 0);
}
