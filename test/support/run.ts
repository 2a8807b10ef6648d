import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Readable } from 'node:stream';

/** What the built service or command says, and how it ends. */
export class Run {
  out = '';
  err = '';
  readonly exit: Promise<number | null>;
  private static readonly children = new Set<ChildProcess>();

  private constructor(readonly child: ChildProcess) {
    Run.children.add(child);
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.out += text;
    });
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.err += text;
    });
    this.exit = once(child, 'close').then(([code]) => code as number | null);
  }

  /** Ends what a test that failed has left running. */
  static endAll(): void {
    for (const child of Run.children) child.kill('SIGKILL');
    Run.children.clear();
  }

  static node(args: string[], env: Record<string, string> = {}): Run {
    return Run.program(process.execPath, args, env);
  }

  /**
   * The service, once it says where it listens.
   *
   * @param flags Node's own
   */
  static service(env: Record<string, string> = {}, flags: string[] = []): Promise<Served> {
    return Run.serving([...flags, 'dist/main.js'], /try it/, env);
  }

  /** The service, once it says where it listens, where a process may have so many descriptors only. */
  static serviceWith(descriptors: number, env: Record<string, string> = {}): Promise<Served> {
    const script = `ulimit -n ${descriptors}; exec "$0" dist/main.js`;
    return Run.listening(Run.program('sh', ['-c', script, process.execPath], { PORT: '0', ...env }), /try it/);
  }

  /** A program that serves, once it says so; on a free port, unless the environment names one. */
  static serving(args: string[], ready: RegExp, env: Record<string, string> = {}): Promise<Served> {
    return Run.listening(Run.node(args, { PORT: '0', ...env }), ready);
  }

  private static program(path: string, args: string[], env: Record<string, string>): Run {
    return new Run(spawn(path, args, { env: { PATH: process.env.PATH, ...env }, stdio: ['ignore', 'pipe', 'pipe'] }));
  }

  private static async listening(run: Run, ready: RegExp): Promise<Served> {
    while (!ready.test(run.out) && run.child.exitCode === null) {
      const more = new AbortController();
      const { signal } = more;
      await Promise.race([once(run.child.stdout as Readable, 'data', { signal }), once(run.child, 'exit', { signal })]);
      more.abort();
    }
    const url = /http:\/\/\S+:\d+/.exec(run.out)?.[0] ?? '';
    return Object.assign(run, { url, port: Number(new URL(url).port) });
  }
}

/** A program that serves, and where. */
export type Served = Run & { port: number; url: string };
