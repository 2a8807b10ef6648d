import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { Peer } from './peer.js';
import { post } from './post.js';
import { until } from './until.js';

/** What the built service or command says, and how it ends. */
export class Run {
  out = '';
  err = '';
  readonly exit: Promise<number | null>;
  private static readonly children = new Set<ChildProcess>();

  protected constructor(readonly child: ChildProcess) {
    Run.children.add(child);
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.out += text;
    });
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.err += text;
    });
    this.exit = once(child, 'close').then(([code]) => code as number | null);
  }

  /** Has all peers leave, and kills what still runs: after each test, or after all where those share a process. */
  static endAll(): void {
    Peer.leaveAll();
    for (const child of Run.children) child.kill('SIGKILL');
    Run.children.clear();
  }

  /** Sends a signal again and again: one that follows another within half a second counts as the same. */
  async signalUntilGone(signal: NodeJS.Signals): Promise<void> {
    await until(() => {
      this.child.kill(signal);
      return this.child.exitCode !== null;
    });
  }

  static node(args: string[], env: Record<string, string> = {}): Run {
    return new Run(launch(process.execPath, args, env));
  }

  /**
   * The service, once it says where it listens; on a free port, unless the environment names one.
   *
   * @param flags Node's own
   */
  static service(env: Record<string, string> = {}, flags: string[] = [], cwd = '.'): Promise<Served> {
    return Served.start(/try it/, process.execPath, [...flags, 'dist/main.js'], env, cwd);
  }

  /** As `service()`, where a process may have so many descriptors only. */
  static serviceWith(descriptors: number, env: Record<string, string> = {}): Promise<Served> {
    return Served.start(/try it/, 'sh', ['-c', `ulimit -n ${descriptors}; exec "$0" dist/main.js`, process.execPath], env);
  }

  /** Another program that serves, once what it says matches. */
  static serving(args: string[], ready: RegExp, env: Record<string, string> = {}): Promise<Served> {
    return Served.start(ready, process.execPath, args, env);
  }
}

function launch(program: string, args: string[], env: Record<string, string>, cwd?: string): ChildProcess {
  return spawn(program, args, { cwd, env: { PATH: process.env.PATH, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
}

/** What `/health/connections` answers, as far as tests look at it. */
export interface Counts {
  pid: number;
  open: number;
  opened: number;
  handedOver: number;
  bufferedBytes: number;
  rssBytes: number;
  limit: number;
  closed: { client: number };
  rejectedBy: { limit: number };
  workers: { pids: number[]; missing: number[] };
  /** With `?scope=cluster`. */
  nodes?: { name: string }[];
}

/** A program that serves. */
export class Served extends Run {
  url = '';

  static async start(ready: RegExp, ...[program, args, env, cwd]: Parameters<typeof launch>): Promise<Served> {
    const served = new Served(launch(program, args, { PORT: '0', ...env }, cwd));
    await until(() => ready.test(served.out) || served.child.exitCode !== null);
    served.url = /http:\/\/\S+:\d+/.exec(served.out)?.[0] ?? '';
    return served;
  }

  get port(): number {
    return Number(new URL(this.url).port);
  }

  async status(path: string): Promise<number> {
    const response = await fetch(this.url + path);
    await response.body?.cancel();
    return response.status;
  }

  /** On a new connection each time: whichever worker takes it. */
  async json<T>(path: string): Promise<T> {
    return (await fetch(this.url + path, { headers: { connection: 'close' } })).json() as Promise<T>;
  }

  counts(query = ''): Promise<Counts> {
    return this.json(`/health/connections${query}`);
  }

  /** Opens feeds; their heads are there, so that they count. */
  async follow(...paths: string[]): Promise<Peer[]> {
    const peers = await Promise.all(paths.map((path) => Peer.get(this.port, path)));
    await Promise.all(peers.map((peer) => peer.sees('\r\n\r\n')));
    return peers;
  }

  /** Publishes with the key of the tests. */
  publish(path: string, body: string, headers: Record<string, string> = {}): Promise<Response> {
    return post(this.url + path, body, headers);
  }

  /** Waits until no feed is open. */
  async isEmpty(): Promise<void> {
    await until(async () => (await this.counts()).open === 0);
  }

  /** Has it end in good order, which it does with 0 and without a complaint. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    this.child.kill(signal);
    expect({ code: await this.exit, err: this.err }).toEqual({ code: 0, err: '' });
  }
}
