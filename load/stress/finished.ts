import { type Check, check, decimals, inMegabytes, megabytes } from '../lib/figures.js';
import { using } from '../lib/server.js';
import { until } from '../lib/waits.js';
import { ProbedService } from './probed-service.js';

interface FinishedOptions {
  adapter: string;
  feeds: number;
}

/** For how long the rule of the feeds keeps their messages, in milliseconds. */
const ttlMs = 10_000;
/** How many feeds begin with one request, and how many are ended at a time. */
const [begunAtOnce, endedAtOnce] = [1000, 64];
/** How often what the service holds is looked at. */
const looks = 10;
/** What V8 lets lie around, and the slots that all feeds share: what a service holds beyond its history. */
const mostBytes = 8 * 1024 ** 2;
const adminKey = 'operator';

/** A service in whose memory feeds end. */
class EndingService extends ProbedService {
  constructor(adapter: string) {
    super({
      FEED_ADAPTER: adapter,
      FEED_ADMIN_KEY: adminKey,
      FEED_HISTORY_TOTAL_BYTES: '1000000000',
      FEED_RULES: JSON.stringify({ 'jobs/*': { historyTtlMs: ttlMs } }),
    });
  }

  /** Publishes a message to each of so many feeds, and ends them. */
  async finish(first: number, count: number): Promise<void> {
    for (let n = first; n < first + count; n += begunAtOnce) {
      const feeds = Array.from({ length: Math.min(begunAtOnce, first + count - n) }, (_, m) => `jobs/${n + m}`);
      const messages = feeds.map((feed) => ({ feed, data: `the only message of ${feed}` }));
      await this.publishSurely('/test', JSON.stringify({ messages }));
      const endSome = async () => {
        for (let feed = feeds.pop(); feed !== undefined; feed = feeds.pop()) await this.publishSurely(`/test/${feed}?end`, '{}');
      };
      await Promise.all(Array.from({ length: endedAtOnce }, endSome));
    }
  }

  /** On a busy machine, a kept connection may be closed at the moment at which it is used: to end a feed again changes nothing. */
  private async publishSurely(path: string, body: string): Promise<void> {
    const publish = () => this.post(path, body, 'application/json');
    const { status, text } = await publish().catch(publish);
    if (status !== 201) throw new Error(`publishing was answered with ${status}: ${text}`);
  }

  /** The bytes of its history, as it counts them. */
  async historyBytes(): Promise<number> {
    const { text } = await this.ask('/metrics');
    return Number(/^feed_history_bytes (\S+)$/m.exec(text)?.[1]);
  }

  /** Whether it lists any of the feeds. */
  async hasFeeds(): Promise<boolean> {
    const { text } = await this.ask('/admin/feeds?prefix=jobs&limit=1', 'GET', { authorization: `Bearer ${adminKey}` });
    return JSON.parse(text).feeds.length > 0;
  }

  /** Waits until nothing of the feeds is stored; resolves with whether that is so. */
  isEmpty(): Promise<boolean> {
    return until(async () => (await this.historyBytes()) === 0 && !(await this.hasFeeds()), 2 * ttlMs);
  }
}

/** A service through which many feeds pass, one after the other: what it holds of them while they are stored, and afterwards. */
export async function finished({ adapter, feeds }: FinishedOptions): Promise<Check[]> {
  return using(new EndingService(adapter), async (service) => {
    await service.finish(0, 2 * begunAtOnce);
    if (!(await service.isEmpty())) throw new Error('the first feeds do not go away');
    const base = await service.heapBytes();
    let [most, stored] = [Number.NEGATIVE_INFINITY, 0];
    for (let look = 0; look < looks; look += 1) {
      const [from, to] = [look, look + 1].map((n) => Math.round((n * feeds) / looks));
      await service.finish(from, to - from);
      // What expires between the two counts as held.
      const history = await service.historyBytes();
      const held = (await service.heapBytes()) - base - history;
      most = Math.max(most, held);
      stored = Math.max(stored, history);
      process.stderr.write(`finished: ${decimals(to)} feeds, history ${megabytes(history)}, beyond it ${megabytes(held)}\n`);
    }
    const isEmpty = await service.isEmpty();
    const left = (await service.heapBytes()) - base;
    const what = `finished: ${decimals(feeds)} feeds that have ended, heap`;
    return [
      check(
        `${what} beyond ${inMegabytes(stored)} MB of history`,
        megabytes(most),
        `≤ ${megabytes(mostBytes)}`,
        most <= mostBytes && stored > 0,
      ),
      check(`${what} when their time is over`, megabytes(left), `≤ ${megabytes(mostBytes)}`, left <= mostBytes),
      check('finished: nothing of them is stored, or listed, by then', isEmpty ? 'yes' : 'no', 'yes', isEmpty),
    ];
  });
}
