import { jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { freePort, type Engine as Server } from '../../tools/engines.mjs';
import { until } from '../lib/waits.js';
import { startServer } from './one-server.js';
import type { Disaster, Engine, Stage } from './stage.js';

/** When a leader is killed, and how much later it is started again, in parts of a round. */
const kills = [0.15, 0.33, 0.51, 0.69];
const pause = 0.06;

/** Three servers of NATS that all store the stream. */
async function startCluster(): Promise<Map<string, Server>> {
  const routes = await Promise.all(['s1', 's2', 's3'].map(async (name) => ({ name, route: `nats://127.0.0.1:${await freePort()}` })));
  const servers = routes.map(async ({ name, route }) => {
    const others = routes.filter((other) => other.route !== route).map((other) => other.route);
    const cluster = ['--cluster_name', 'chaos', '--cluster', route, '--routes', others.join()];
    return [name, await startServer('nats', '--server_name', name, ...cluster)] as const;
  });
  return new Map(await Promise.all(servers));
}

/** The name of the server that leads the stream, as soon as there is one. */
async function leaderOf(servers: ReadonlyMap<string, Server>): Promise<string> {
  let leader: string | undefined;
  const find = async () => {
    const connection = await connect({ servers: [...servers.values()].map(({ url }) => url), reconnect: false, timeout: 1000 });
    const { cluster } = await (await jetstreamManager(connection)).streams.info('nestjs-feed').finally(() => connection.close());
    leader = cluster?.leader;
    return leader !== undefined && leader !== '';
  };
  if (!(await until(() => find().catch(() => false)))) throw new Error('the stream has no leader');
  return leader as string;
}

/** The leader of the stream is killed time and again: what it has acknowledged, the others have. */
export async function natsLeaders(stage: Stage): Promise<Engine> {
  const servers = await startCluster();
  const hosts = [...servers.values()].map(({ port }) => `127.0.0.1:${port}`);
  const leaders = kills.flatMap((at): Disaster[] => {
    let killed: Server | undefined;
    const kill = async () => {
      killed = servers.get(await leaderOf(servers));
      await killed?.kill();
    };
    return [
      [at, 'the leader of the stream is killed', kill],
      [at + pause, 'it is started again', () => killed?.restart()],
    ];
  });
  return { urlOf: () => `nats://${hosts.join()}?replicas=3`, disasters: [stage.severs(0.1, 0.1), ...leaders, stage.severs(0.85, 1)] };
}
