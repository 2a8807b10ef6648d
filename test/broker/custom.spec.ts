import {
  Broker,
  BrokerUnavailableError,
  type Content,
  FeedEndedError,
  type History,
  isEnd,
  isPosition,
  type MessageSink,
  type Position,
  type Start,
  type StoredMessage,
  storedMessage,
} from '../../src/index.js';
import { closeAll, serveFeeds } from '../support/serve.js';

/** A broker as an application may write one, with the package's exports alone: it stores everything, in one list. */
class ListBroker extends Broker {
  readonly name = 'list';
  readonly unavailableReason = undefined;
  unavailableSince: number | undefined = undefined;
  private readonly epoch = 'list';
  private messages: StoredMessage[] = [];
  private offset = 0;
  private readonly sinks = new Map<string, MessageSink>();
  private readonly cleared = new Map<string, number>();
  private readonly names = new Map<string, number>();

  async publish(feed: string, content: Content): Promise<StoredMessage> {
    if (this.unavailableSince !== undefined) throw new BrokerUnavailableError('The list is unavailable.');
    if (isEnd(this.newestOf(feed))) throw new FeedEndedError(feed);
    const message = storedMessage(feed, this.epoch, this.nextOffset(), Date.now(), content);
    this.messages.push(message);
    this.sinks.get(feed)?.next(message);
    return message;
  }

  subscribe(feed: string, sink: MessageSink): undefined {
    this.sinks.set(feed, sink);
  }

  unsubscribe(feed: string): void {
    this.sinks.delete(feed);
  }

  async clear(feed: string): Promise<void> {
    this.messages = this.messages.filter((message) => message.feed !== feed);
    this.cleared.set(feed, this.nextOffset());
    this.sinks.get(feed)?.lost(undefined);
  }

  async remember(name: string, until: number): Promise<void> {
    this.names.set(name, Math.max(until, this.names.get(name) ?? 0));
  }

  async remembered(): Promise<ReadonlyMap<string, number>> {
    return new Map([...this.names].filter(([, until]) => until > Date.now()));
  }

  async read(feed: string, start: Start): Promise<History> {
    const end = this.offset;
    const own = this.messages.filter((message) => message.feed === feed);
    const known = this.offsetOf(start, own);
    const isReset = isPosition(start) && (start.epoch !== this.epoch || start.offset > end || start.offset < (this.cleared.get(feed) ?? 0));
    const after: Position = { epoch: this.epoch, offset: isReset ? 0 : known };
    // One message a page: the smallest that the contract allows.
    const [first, ...more] = own.filter(({ offset }) => offset > after.offset);
    const hasMore = more.length > 0;
    return {
      messages: first ? [first] : [],
      after: first ? after : { ...after, offset: end },
      end: hasMore && first ? first.offset : end,
      hasMore,
      isReset,
      isEnded: isEnd(own.at(-1)),
    };
  }

  async close(): Promise<void> {
    this.sinks.clear();
  }

  private newestOf(feed: string): StoredMessage | undefined {
    return this.messages.findLast((message) => message.feed === feed);
  }

  private nextOffset(): number {
    this.offset += 1;
    return this.offset;
  }

  private offsetOf(start: Start, own: readonly StoredMessage[]): number {
    if (start === 'earliest') return 0;
    if (start === 'end' && !isEnd(own.at(-1))) return this.offset;
    if (start === 'end' || start === 'newest') return this.offsetOf({ last: 1 }, own);
    if (isPosition(start)) return start.offset;
    const first = 'last' in start ? own.slice(-start.last)[0] : own.find(({ time }) => time >= start.time);
    return first ? first.offset - 1 : this.offset;
  }
}

afterEach(closeAll);

it('a broker of your own is written with what the package exports, and serves feeds', async () => {
  const broker = new ListBroker();
  const { feeds, url } = await serveFeeds('express', { broker: () => broker });
  const { id } = await feeds.publish('a', '1');
  await feeds.publish('a', '2');
  await feeds.publish('a', '3');
  const response = await fetch(`${url}/feeds/a`, { headers: { 'Last-Event-ID': `${id}` } });
  await feeds.publish('a', '4');
  feeds.end('a');
  expect(await response.text()).toBe('2\n3\n4\n');

  await feeds.finish('a');
  await expect(feeds.publish('a', '5')).rejects.toMatchObject({ code: 'FEED_ENDED' });
  expect((await fetch(`${url}/feeds/a`, { headers: { 'Last-Event-ID': (await feeds.finish('a')).id as string } })).status).toBe(204);
  await feeds.clear('a');

  broker.unavailableSince = Date.now();
  await expect(feeds.publish('a', '5')).rejects.toMatchObject({ code: 'FEED_BROKER' });
  expect(feeds.status.broker).toMatchObject({ name: 'list', unavailableSince: broker.unavailableSince });
});
