import { compared, contest } from './contest.mjs';
import { decimals, table } from './table.mjs';

/** What the service takes for publishing; the other servers take anything. */
const key = 'bench';
const env = { FEED_PUBLISH_KEY: key };

const services = ['service Express', 'service Fastify'];
const publishers = ['C epoll', 'Go net/http', ...services];

/**
 * What publishing costs: to one feed with all followers, and to many feeds with a follower each. Nothing but what is published is sent.
 *
 * @param options.servers those of servers.mjs that are meant; not all of them can be published to
 * @param options.toAll messages a second to the one feed
 * @param options.toOne messages a second to the many
 * @param say tells how far it has come
 */
export async function fanout({ servers, connections, duration, rounds, toAll, toOne }, say) {
  const those = (names) => servers.filter(({ name }) => names.includes(name));
  const common = { period: 0, env, rounds, measured };
  const flags = { connections, duration, key };
  const all = { ...common, servers: those(publishers), flags: { ...flags, feeds: 1, publish: toAll }, told: toldOfAll };
  const one = { ...common, servers: those(services), flags: { ...flags, publish: toOne }, told: toldOfOne };
  return { all: compared(await contest(all, say), 'microsPerDelivery'), one: await contest(one, say) };
}

function measured({ server, publish }) {
  return {
    microsPerDelivery: server?.cpuMicrosPerDelivery ?? undefined,
    latencyP50Ms: publish.latencyMs.p50,
    latencyP99Ms: publish.latencyMs.p99,
    latencyMaxMs: publish.latencyMs.max,
    lastP50Ms: publish.lastMs.p50,
    lastMaxMs: publish.lastMs.max,
    lost: publish.lost,
    repeated: publish.repeated,
  };
}

function toldOfAll({ microsPerDelivery, lastP50Ms }) {
  return `${decimals(microsPerDelivery, 1)} µs a delivery, the last follower after ${decimals(lastP50Ms, 1)} ms`;
}

function toldOfOne({ microsPerDelivery, latencyP99Ms }) {
  return `${decimals(microsPerDelivery, 1)} µs a delivery, p99 ${decimals(latencyP99Ms, 1)} ms`;
}

/** Faults of single runs are not for a median to hide. */
function total(runs, ...measures) {
  const values = runs.flatMap((run) => measures.map((measure) => run[measure])).filter(Number.isFinite);
  return values.length === 0 ? undefined : values.reduce((sum, value) => sum + value);
}

export function toAllTable(rows, markdown) {
  const head = ['server', 'µs/delivery', '× C', '× Go', 'last follower p50 ms', 'max ms', 'lost + repeated', 'ok'];
  const lines = rows.map((row) => [
    row.name,
    decimals(row.microsPerDelivery, 1),
    decimals(row.timesFloor, 2),
    decimals(row.timesGo, 2),
    decimals(row.lastP50Ms, 1),
    decimals(row.lastMaxMs, 1),
    decimals(total(row.runs, 'lost', 'repeated'), 0),
    row.ok ? 'ok' : 'FAILED',
  ]);
  return table(head, lines, markdown);
}

export function toOneTable(rows, markdown) {
  const head = ['server', 'latency p50 ms', 'p99 ms', 'max ms', 'lost', 'repeated', 'µs/delivery', 'ok'];
  const lines = rows.map((row) => [
    row.name,
    decimals(row.latencyP50Ms, 1),
    decimals(row.latencyP99Ms, 1),
    decimals(row.latencyMaxMs, 1),
    decimals(total(row.runs, 'lost'), 0),
    decimals(total(row.runs, 'repeated'), 0),
    decimals(row.microsPerDelivery, 1),
    row.ok ? 'ok' : 'FAILED',
  ]);
  return table(head, lines, markdown);
}
