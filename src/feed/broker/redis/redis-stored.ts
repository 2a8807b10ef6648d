import { type FeedEnd, isEnd } from '../../message/end.js';
import type { StoredFeed, StoredIds } from '../broker.js';
import { FirstIds, type IdRange } from '../first-ids.js';
import { parse } from './redis-message.js';
import type { RedisSession } from './redis-session.js';

/** How many keys Redis looks at in one command, in less than a millisecond, and how many commands are sent one after the other. */
const [keysAtOnce, mostScans] = [1000, 1000];
/** How many feeds are measured with one command. */
const measuredAtOnce = 100;

/** Finds the first feeds of a range that have a stream, among all keys of the database: a million at most. */
export async function storedIds({ redis, streamPrefix }: RedisSession, range: IdRange): Promise<StoredIds> {
  const ids = new FirstIds(range);
  const pattern = `${streamPrefix}${range.prefix}*`; // neither has a character that means something in a pattern
  let cursor = '0';
  for (let n = 0; n < mostScans; n += 1) {
    const [next, keys] = await redis.scan(cursor, 'MATCH', pattern, 'COUNT', keysAtOnce);
    for (const key of keys) ids.add(key.slice(streamPrefix.length));
    cursor = String(next);
    if (cursor === '0') return { ids: ids.first, isWhole: true };
  }
  return { ids: ids.first, isWhole: false };
}

/** Measures what is stored of feeds. */
export async function measured(session: RedisSession, feeds: readonly string[]): Promise<(StoredFeed | undefined)[]> {
  const found: (StoredFeed | undefined)[] = [];
  for (let n = 0; n < feeds.length; n += measuredAtOnce) {
    const some = feeds.slice(n, n + measuredAtOnce);
    const keys = some.map((feed) => session.streamPrefix + feed);
    const replies = (await session.run('measure', keys, [])) as MeasureReply[];
    found.push(...replies.map((reply, m) => storedFeedOf(some[m] as string, reply)));
  }
  return found;
}

/** What the script returns of a feed. */
type MeasureReply = [length: number, bytes: string, offset: string, end: string] | 0;

/** Offsets are microseconds since 1970. */
function storedFeedOf(feed: string, reply: MeasureReply): StoredFeed | undefined {
  if (reply === 0) return undefined;
  const [length, bytes, offset, text] = reply;
  const last = text === '' ? undefined : parse(feed, text)?.message;
  const end = isEnd(last) ? (JSON.parse((last as { text: string }).text) as FeedEnd) : undefined;
  return { length, bytes: Number(bytes), newestAt: Math.floor(Number(offset) / 1000), end };
}
