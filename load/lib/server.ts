import { type ChildProcess, spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { sleep } from './waits.js';

/** The root of this repository. */
export const root = fileURLToPath(new URL('../..', import.meta.url));

/** How long a server may take to answer, and to end, in milliseconds. */
export const patience = 20_000;
/** How long it may take to start, on a machine that is busy with others. */
const startPatience = 60_000;

const steps: (() => unknown)[] = [];

/** Has a step taken when the command ends, by itself or by Ctrl-C: the last one first. */
export function atEnd(step: () => unknown): void {
  steps.push(step);
}

/**
 * Runs a command, has it clean up however it ends, and ends this process: with 0 or 1, as the command finds.
 *
 * @param failure the exit code where it fails to find anything
 */
export async function main(command: () => Promise<boolean>, failure = 1): Promise<never> {
  const interrupted = new Promise<number>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => resolve(130));
  });
  const ended = command().then(
    (ok) => (ok ? 0 : 1),
    (error) => {
      process.stderr.write(`${error.stack}\n`);
      return failure;
    },
  );
  const code = await Promise.race([ended, interrupted]);
  for (let step = steps.pop(); step; step = steps.pop()) await step();
  process.exit(code);
}

/** This process's environment, without what would configure the service, and as in production. */
export function environment(own: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv {
  const inherited = Object.entries(process.env).filter(([name]) => !/^(FEED_|HOST$|PORT$|WORKERS$|NODE_OPTIONS$|npm_)/.test(name));
  return { ...Object.fromEntries(inherited), NODE_ENV: 'production', ...own };
}

/** A program and what it is started with. */
export interface Start {
  command: string;
  args: string[];
  env?: NodeJS.ProcessEnv;
  cwd?: string;
  /** Whether it talks to this process (`process.send()`), and is out of reach of the terminal's Ctrl-C. */
  isWatched?: boolean;
  /** Whether it reads from this process: its stdin is a pipe, and ends with this process. */
  hasInput?: boolean;
}

/** The processes that end with this one, however that ends. */
const running = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/** A process; one that serves says where it listens. */
export class Server {
  /** What it has written on stderr: the end of it. */
  complaints = '';
  url = new URL('http://127.0.0.1');
  /** Resolves with its exit code, the signal that ended it, or why it could not be started. */
  readonly ended: Promise<number | string>;
  readonly child: ChildProcess;
  readonly #heard: Promise<string>;

  constructor({ command, args, env, cwd = root, isWatched = false, hasInput = false }: Start) {
    const ipc = isWatched ? ['ipc' as const] : [];
    const stdio = [hasInput ? ('pipe' as const) : ('ignore' as const), 'pipe' as const, 'pipe' as const, ...ipc];
    const child = spawn(command, args, { cwd, env, detached: isWatched, stdio });
    running.add(child);
    this.child = child;
    this.ended = new Promise((resolve) => {
      child.once('error', ({ message }) => resolve(message));
      child.once('close', (code, signal) => resolve(code ?? signal ?? ''));
    });
    this.ended.then(() => running.delete(child));
    (child.stderr as Readable).setEncoding('utf8').on('data', (text: string) => {
      this.complaints = (this.complaints + text).slice(-4000);
    });
    this.#heard = new Promise((resolve) => {
      createInterface({ input: child.stdout as Readable }).on('line', (line) => {
        const found = /http:\/\/[\d.]+:\d+/.exec(line);
        if (found) resolve(found[0]);
      });
    });
  }

  get pid(): number {
    return this.child.pid as number;
  }

  get isRunning(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  /**
   * Waits until it says where it listens: the first `http://host:port` on its stdout.
   *
   * @throws Error when it ends instead, or says nothing
   */
  async listening(): Promise<this> {
    const url = await Promise.race([this.#heard, this.ended.then(() => {}), sleep(startPatience, undefined, { ref: false })]);
    if (!url)
      throw new Error(
        `did not say within ${startPatience} ms where it listens, ended with ${await this.stop('SIGKILL')}: ${this.complaints.trim()}`,
      );
    this.url = new URL(url);
    return this;
  }

  /** Ends it, by force when it does not end by itself; resolves with its exit code, or the signal that ended it. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | string> {
    this.child.kill(signal);
    const timer = setTimeout(() => this.child.kill('SIGKILL'), patience);
    const how = await this.ended;
    clearTimeout(timer);
    return how;
  }
}

/** Waits for a server to listen, has it used, and ends it. */
export async function using<S extends Server, T>(server: S, use: (server: S) => Promise<T>): Promise<T> {
  try {
    return await use(await server.listening());
  } finally {
    await server.stop();
  }
}

/** Runs a command to its end: its exit code, or why there is none, and what it said on stderr. */
export async function run(command: string, args: string[]): Promise<{ code: number | string; why: string }> {
  const ran = new Server({ command, args });
  const code = await ran.ended;
  return { code, why: `exit ${code}: ${ran.complaints.trim()}` };
}

/** What `/proc/<pid>/status` says in a field that is a number. */
function statusOf(pid: number, field: string): number {
  return Number(new RegExp(`^${field}:\\s+(\\d+)`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1]);
}

export const rssBytes = (pid: number): number => statusOf(pid, 'VmRSS') * 1024;
export const threads = (pid: number): number => statusOf(pid, 'Threads');
export const descriptors = (pid: number): number => readdirSync(`/proc/${pid}/fd`).length;

/** User and system time that a process has had so far, in seconds: `/proc/<pid>/stat` has hundredths. */
export function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  // The name in the second field may hold anything, so count from its closing bracket: the third field comes first.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

/** The same in milliseconds, without rounding: for what takes little. The time of threads that have ended is missing. */
export function cpuMs(pid: number): number {
  const threads = readdirSync(`/proc/${pid}/task`);
  const nanos = threads.map((thread) => Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'latin1').split(' ', 1)[0]));
  return nanos.reduce((all, each) => all + each, 0) / 1e6;
}
