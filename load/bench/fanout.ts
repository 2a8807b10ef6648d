import { okColumn } from '../lib/figures.js';
import { key } from '../lib/service.js';
import { besidePeers, type Read, type ServerRunOptions, serverRows, shown, total } from './server-rows.js';
import { services } from './servers.js';
import { runs, serverColumn, type Table, tableOf } from './table.js';

const alone: string[] = services.map(({ name }) => name);
/** Those that can be published to. */
const publishers = ['C epoll', 'Go net/http', ...alone];

/** Messages a second to the one feed, and to the many. */
const [toAll, toOne] = [4, 1000];

/** What the service takes for publishing; the other servers take anything. */
const env = { FEED_INTERVAL_MS: '0', FEED_PUBLISH_KEY: key };

const micros: Read = ({ server }) => server?.cpuMicrosPerDelivery;
const last: Read = ({ publish }) => publish?.lastMs.p50;
const late: Read = ({ publish }) => publish?.latencyMs.p99;

/** What publishing costs: to one feed with all followers, and to many feeds with a follower each. Nothing but what is published is sent. */
export async function fanout(options: ServerRunOptions): Promise<Table[]> {
  const { connections, rounds } = options;
  const those = (names: string[]) => ({ ...options, servers: options.servers.filter(({ name }) => names.includes(name)) });
  const delivery = [micros, 'µs a delivery'] as const;
  const all = await serverRows(those(publishers), env, { key, feeds: 1, publish: toAll }, [delivery, [last, 'ms until the last follower']]);
  const one = await serverRows(those(alone), env, { key, publish: toOne }, [delivery, [late, 'ms p99']]);
  const tables = [
    tableOf(`${toAll} publishes a second to a feed with ${connections} followers, ${runs(rounds)}`, all, [
      serverColumn,
      shown('µs/delivery', micros),
      ...besidePeers(all, micros),
      shown('last follower p50 ms', last),
      shown('max ms', ({ publish }) => publish?.lastMs.max),
      total('lost + repeated', ({ lost, repeated }) => lost + repeated),
      okColumn,
    ]),
    tableOf(`${toOne} publishes a second to random ones of ${connections} feeds with a follower each, ${runs(rounds)}`, one, [
      serverColumn,
      shown('latency p50 ms', ({ publish }) => publish?.latencyMs.p50),
      shown('p99 ms', late),
      shown('max ms', ({ publish }) => publish?.latencyMs.max),
      total('lost', ({ lost }) => lost),
      total('repeated', ({ repeated }) => repeated),
      shown('µs/delivery', micros),
      okColumn,
    ]),
  ];
  return tables.filter(({ rows }) => rows.length > 0);
}
