import { Connection } from '../lib/connection.js';
import { decimals, inMegabytes, okColumn } from '../lib/figures.js';
import { rssBytes, using } from '../lib/server.js';
import { Service } from '../lib/service.js';
import { sleep } from '../lib/waits.js';
import { services } from './servers.js';
import { markedServerColumn, say, serverColumn, type Table, tableOf } from './table.js';

/** Connections in all, how many of them are open at a time, and after how many the memory is looked at for the first time. */
const [visits, most, first] = [200_000, 2000, 20_000];

/** Opens a connection and waits for its answer. */
function visit(url: URL, n: number): Promise<Connection> {
  return new Promise((resolve, reject) => {
    const head = (status: number) => (status === 200 ? resolve(connection) : reject(new Error(`answered with status ${status}`)));
    const closed = (why: string) => reject(new Error(why));
    const connection: Connection = new Connection(url, `/test/${n}`, { head, message() {}, closed });
  });
}

/** What connections that come and go leave behind: resident memory after the first of them is compared with that after the last. */
export async function churn(): Promise<Table[]> {
  const visitAll = (name: string, adapter: string) =>
    using(new Service({ FEED_ADAPTER: adapter, FEED_INTERVAL_MS: '1000' }), async (service) => {
      const { url, pid } = service;
      const atRest = rssBytes(pid);
      const there: Connection[] = [];
      let [afterFirst, next] = [0, 0];
      // As many at once as keep the server busy, without a queue of its own making.
      const visitor = async () => {
        while (next < visits) {
          next += 1;
          const n = next;
          there.push(await visit(url, n));
          if (n === first) afterFirst = rssBytes(pid);
          if (there.length > most) there.shift()?.leave(n % 2 === 0 ? 'reset' : 'fin');
        }
      };
      await Promise.all(Array.from({ length: 32 }, visitor));
      const afterLast = rssBytes(pid);
      const { opened } = await service.counts();
      for (const connection of there) connection.leave('fin');
      const ok = opened === visits;
      say(`${name}: ${inMegabytes(afterLast)} MB after ${visits} connections${ok ? '' : ': FAILED, it counts another number'}`);
      return { name, ok, atRest, afterFirst, afterLast };
    });
  const rows = [];
  for (const { name, adapter } of services) rows.push(await visitAll(name, adapter));
  return [
    tableOf(`${visits} connections, ${most} open at a time`, rows, [
      markedServerColumn,
      ['RSS MB at rest', ({ atRest }) => inMegabytes(atRest)],
      [`after ${first}`, ({ afterFirst }) => inMegabytes(afterFirst)],
      [`after ${visits}`, ({ afterLast }) => inMegabytes(afterLast)],
      ['ratio', ({ afterFirst, afterLast }) => decimals(afterLast / afterFirst, 2)],
    ]),
  ];
}

/** Messages over all feeds, feeds, all of them published to by each request, and bytes of each message's data. */
const [messages, feeds, bytes] = [1_000_000, 1000, 200];
/** What history may take: by default 100 messages of each feed, each of which counts with 512 bytes beside its data (`historyBytes`). */
const bound = feeds * 100 * (bytes + 512);

/** What is left of many messages that are published without followers, against the bound that the service's documentation gives. */
export async function history(): Promise<Table[]> {
  const publishAll = (name: string, adapter: string) =>
    using(new Service({ FEED_ADAPTER: adapter }), async (service) => {
      const { pid } = service;
      const names = Array.from({ length: feeds }, (_, n) => `f${n}`);
      await sleep(5000); // until the service lets its heap grow as it does at rest
      const before = rssBytes(pid);
      const begun = performance.now();
      let highest = 0;
      for (let n = 0; n < messages / feeds; n += 1) {
        const { status } = await service.post(
          '/test',
          JSON.stringify({ feeds: names, data: `${n}`.padEnd(bytes, 'x') }),
          'application/json',
        );
        if (status !== 201) throw new Error(`answered with status ${status}`);
        highest = Math.max(highest, rssBytes(pid));
      }
      const perSecond = (messages / (performance.now() - begun)) * 1000;
      const after = rssBytes(pid);
      return { name, before, after, highest, perSecond, ok: after - before <= bound };
    });
  const rows = [];
  for (const { name, adapter } of services) {
    say(`history: ${name}`);
    rows.push(await publishAll(name, adapter));
  }
  return [
    tableOf(`${messages} messages of ${bytes} bytes to ${feeds} feeds without followers`, rows, [
      serverColumn,
      ['RSS before MB', ({ before }) => inMegabytes(before)],
      ['after', ({ after }) => inMegabytes(after)],
      ['grown by', ({ before, after }) => inMegabytes(after - before)],
      ['bound MB', () => inMegabytes(bound)],
      ['highest RSS', ({ highest }) => inMegabytes(highest)],
      ['messages/s', ({ perSecond }) => decimals(perSecond)],
      okColumn,
    ]),
  ];
}
