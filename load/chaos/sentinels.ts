import type { Engine as Server } from '../../tools/engines.mjs';
import type { Link } from '../../tools/link.mjs';
import { until } from '../lib/waits.js';
import { linkTo, startServer } from './one-server.js';
import { ask } from './redis-client.js';
import type { Engine, Stage } from './stage.js';

/** Where servers and Sentinels come from, so that a link can cut them off from a server and let nodes through. */
const others = '127.0.0.5';
/** After how many milliseconds without an answer a Sentinel takes a master for dead. */
const downMs = 3000;

/** One of several servers: all reach it by its link, whose port is its address. */
interface Member {
  readonly server: Server;
  readonly link: Link;
}

/** Three servers of Redis, and three Sentinels that say which one is the master. */
class Trio {
  private constructor(
    private readonly members: readonly Member[],
    private readonly sentinels: readonly Server[],
  ) {}

  /** @param isGuarded whether a master without a replica takes no messages */
  static async start(isGuarded: boolean): Promise<Trio> {
    const members: Member[] = [];
    for (let n = 0; n < 3; n += 1) {
      // It has to announce the port of its link, which needs the server's own.
      const link = await linkTo({ port: 0 });
      const master = members[0] ? ['--replicaof', `127.0.0.1 ${members[0].link.port}`] : [];
      const guard = isGuarded ? ['--min-replicas-to-write', '1', '--min-replicas-max-lag', '2'] : [];
      const address = ['--replica-announce-ip', '127.0.0.1', '--replica-announce-port', `${link.port}`, '--bind-source-addr', others];
      const server = await startServer('redis', ...address, '--repl-diskless-sync-delay', '0', ...master, ...guard);
      link.lead(server.port);
      members.push({ server, link });
    }
    const sentinels: Server[] = [];
    for (let n = 0; n < 3; n += 1) sentinels.push(await startServer('sentinel', '--bind-source-addr', others));
    const trio = new Trio(members, sentinels);
    for (const { port } of sentinels) {
      await ask(port, 'SENTINEL', 'CONFIG', 'SET', 'announce-ip', '127.0.0.1');
      await ask(port, 'SENTINEL', 'MONITOR', 'chaos', '127.0.0.1', members[0].link.port, 2);
      await ask(port, 'SENTINEL', 'SET', 'chaos', 'down-after-milliseconds', downMs, 'failover-timeout', 10_000);
    }
    if (!(await until(() => trio.#isComplete()))) throw new Error('the Sentinels do not find each other and the replicas');
    return trio;
  }

  get url(): string {
    return `redis+sentinel://${this.sentinels.map(({ port }) => `127.0.0.1:${port}`).join()}/chaos`;
  }

  /** The master that most Sentinels know. */
  async master(): Promise<Member> {
    const ports = await Promise.all(this.sentinels.map((sentinel) => this.#masterOf(sentinel)));
    const port = ports.sort()[1];
    return this.members.find(({ link }) => link.port === port) as Member;
  }

  async #masterOf({ port }: Server): Promise<number> {
    const [, found] = (await ask(port, 'SENTINEL', 'GET-MASTER-ADDR-BY-NAME', 'chaos')) as string[];
    return Number(found);
  }

  async #isComplete(): Promise<boolean> {
    const counts = this.sentinels.map(async ({ port }) => {
      const [sentinels, replicas] = await Promise.all(
        ['SENTINELS', 'REPLICAS'].map((what) => ask(port, 'SENTINEL', what, 'chaos') as Promise<unknown[]>),
      );
      return sentinels.length === 2 && replicas.length === 2;
    });
    const infos = this.members
      .slice(1)
      .map(async ({ server }) => `${await ask(server.port, 'INFO', 'replication')}`.includes('link_status:up'));
    return (await Promise.all([...counts, ...infos])).every(Boolean);
  }
}

/** The master is killed a second after the last message that its replicas got: one of them is promoted, without what was acknowledged since. */
export async function promotion(stage: Stage): Promise<Engine> {
  const trio = await Trio.start(stage.options.minReplicas ?? false);
  let master: Member;
  return {
    urlOf: () => trio.url,
    forgets: true,
    disasters: [
      stage.severs(0.1, 0.1),
      ...stage.restartsNode(0.17, 0.27),
      [
        0.35,
        'the master is cut off from its replicas and the Sentinels',
        async () => {
          master = await trio.master();
          master.link.cutOff(others);
        },
      ],
      stage.severs(0.36, 0.5),
      [
        0.37,
        'the master is killed',
        async () => {
          await master.server.kill();
          master.link.sever();
          master.link.mend();
        },
      ],
      [0.6, 'the killed server is started again', () => master.server.restart()],
      stage.severs(0.85, 1),
    ],
  };
}

/** The master is cut off from its replicas and the Sentinels, which promote another one: until that is mended, both acknowledge. */
export async function splitBrain(stage: Stage): Promise<Engine> {
  const trio = await Trio.start(stage.options.minReplicas ?? false);
  const { nodes } = stage.options;
  let old: Member;
  const [kill, [startAt, , start]] = stage.restartsNode(0.17, 0.35);
  return {
    urlOf: () => trio.url,
    forgets: true,
    parts: true,
    disasters: [
      stage.severs(0.1, 0.1),
      kill,
      [
        0.2,
        'the master is cut off from its replicas and the Sentinels',
        async () => {
          old = await trio.master();
          old.link.cutOff(others);
        },
      ],
      [
        startAt,
        `node ${nodes} is started again, with the new master`,
        async () => {
          if (!(await until(async () => (await trio.master()) !== old))) throw new Error('the Sentinels do not promote another server');
          await start();
        },
      ],
      // Half of them go to other nodes, and so some to the other side.
      stage.severs(0.42, 0.5),
      stage.severs(0.5, 0.1),
      [0.6, 'the old master is let through again, and becomes a replica', () => old.link.mend()],
      stage.severs(0.85, 1),
    ],
  };
}
