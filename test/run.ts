import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { until } from './serve.js';

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
    return new Run(spawn(process.execPath, args, { env: { PATH: process.env.PATH, ...env }, stdio: ['ignore', 'pipe', 'pipe'] }));
  }

  /**
   * The service, once it says where it listens.
   *
   * @param flags Node's own
   */
  static async service(env: Record<string, string> = {}, flags: string[] = []): Promise<Run & { port: number; url: string }> {
    const run = Run.node([...flags, 'dist/main.js'], { PORT: '0', ...env });
    await until(() => /try it/.test(run.out) || run.child.exitCode !== null);
    const url = /http:\/\/\S+:\d+/.exec(run.out)?.[0] ?? '';
    return Object.assign(run, { url, port: Number(new URL(url).port) });
  }
}
