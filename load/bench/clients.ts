import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { sum } from '../lib/figures.js';
import { cpuMs, run, Server } from '../lib/server.js';
import { openFiles } from './machine-needs.js';
import { source } from './servers.js';

/** Descriptors of a process that are no connections. */
const reserve = 64;
/** Ports of one address that the program takes. */
const ports = 49_000;

/** What the program `peers/c/clients.c` counts: of its clients, of what they got, and why it closed the last one. */
export interface ClientCounts {
  asked: number;
  /** Without any answer so far. */
  waiting: number;
  /** Between two attempts. */
  away: number;
  open: number;
  /** How often one was answered with 503. */
  refused: number;
  /** How often one was closed without an answer, or got another one. */
  dropped: number;
  /** Closed after they were open. */
  ended: number;
  chunks: number;
  missing: number;
  misdelivered: number;
  silenceMs: number;
  /** Those that have the broadcast, and how often it came to one that had it. */
  got: number;
  repeated: number;
  /** When the last one got it, in milliseconds of the machine's monotonic clock. */
  lastAtMs: number;
  bytes: number;
  status: number;
  errno: number;
}

/** How many clients a process may have. */
export const mostClients = (): number => Math.min(openFiles() - reserve, ports);

/** Some of the clients, in a process of their own. It ends with this one, since that closes its stdin. */
class ClientProcess extends Server {
  readonly #waiting: ((line: string) => void)[] = [];
  readonly #failed: Promise<never>;

  constructor(command: string, args: string[]) {
    super({ command, args, hasInput: true });
    createInterface({ input: this.child.stdout as Readable }).on('line', (line) => this.#waiting.shift()?.(line));
    this.#failed = this.ended.then((how) => {
      throw new Error(`clients ended with ${how}: ${this.complaints.trim()}`);
    });
    this.#failed.catch(() => {}); // `ask()` tells
    this.child.stdin?.on('error', () => {}); // it has ended
  }

  async ask<T>(command: string): Promise<T> {
    const answer = new Promise<string>((resolve) => this.#waiting.push(resolve));
    (this.child.stdin as Writable).write(`${command}\n`);
    return JSON.parse(await Promise.race([answer, this.#failed])) as T;
  }
}

interface ClientsOptions {
  count: number;
  /** Connections opened a second by all of them. */
  rate: number;
  /** When one comes back that was refused, or closed without an answer, in milliseconds. 0: never. */
  retryMs: number;
  /** Where they connect to: each process to one of them, in turn. */
  urls: readonly URL[];
  /** What stands before the number of a client in its path, and after it. */
  path: readonly [before: string, after: string];
}

/** Clients in as many processes as descriptors demand, each of which has an address of its own to come from: 127.0.1.1, 127.0.1.2, … */
export class Clients {
  private constructor(private readonly processes: readonly ClientProcess[]) {}

  /** @returns the program, compiled into the directory, or why it can't be had here */
  static async compile(directory: string): Promise<{ program: string } | string> {
    const program = join(directory, 'clients');
    const { code, why } = await run('gcc', ['-O2', '-o', program, source('c/clients.c')]);
    if (code === 0) return { program };
    return why.includes('ENOENT') ? 'no gcc here (Debian: apt-get install gcc libc6-dev)' : `does not compile: ${why}`;
  }

  /** How many processes so many clients take. */
  static processes(count: number, urls = 1): number {
    return Math.ceil(Math.max(count / mostClients(), urls));
  }

  static start(program: string, { count, rate, retryMs, urls, path }: ClientsOptions): Clients {
    const wanted = Clients.processes(count, urls.length);
    const processes = Array.from({ length: wanted }, (_, n) => {
      const [from, to] = [n, n + 1].map((edge) => Math.round((count * edge) / wanted));
      const address = `127.0.${1 + Math.floor(n / 250)}.${1 + (n % 250)}`;
      const { port } = urls[n % urls.length];
      return new ClientProcess(program, [port, address, `${from + 1}`, `${to - from}`, `${rate / wanted}`, `${retryMs}`, ...path]);
    });
    return new Clients(processes);
  }

  get pids(): number[] {
    return this.processes.map(({ pid }) => pid);
  }

  get cpuMs(): number {
    return sum(this.pids.map(cpuMs));
  }

  /** Counts so far. */
  report(): Promise<ClientCounts> {
    return this.#counts('report');
  }

  /** Counts chunks, what is missing of them, and silence anew. */
  watch(periodMs: number): Promise<ClientCounts> {
    return this.#counts(`watch ${periodMs}`);
  }

  /** Counts the broadcast with this number from now on: `Broadcast <number>`. */
  expect(broadcast: number): Promise<ClientCounts> {
    return this.#counts(`broadcast ${broadcast}`);
  }

  /** Opens no more connections. */
  stopOpening(): Promise<ClientCounts> {
    return this.#counts('stop');
  }

  /** Closes those that still wait for an answer. */
  giveUp(): Promise<ClientCounts> {
    return this.#counts('give up');
  }

  /** Milliseconds until the first byte, of all clients that got one. */
  async firstBytes(): Promise<number[]> {
    return (await Promise.all(this.processes.map((each) => each.ask<number[]>('first')))).flat();
  }

  /** Ends all of them: their connections are reset. */
  async end(): Promise<void> {
    await Promise.all(this.processes.map((each) => each.stop('SIGKILL')));
  }

  async #counts(command: string): Promise<ClientCounts> {
    const all = await Promise.all(this.processes.map((each) => each.ask<ClientCounts>(command)));
    const [first, ...others] = all;
    const total = { ...first };
    for (const counts of others) {
      for (const key of Object.keys(total) as (keyof ClientCounts)[]) {
        const isMost = key === 'silenceMs' || key === 'lastAtMs' || key === 'status' || key === 'errno';
        total[key] = isMost ? Math.max(total[key], counts[key]) : total[key] + counts[key];
      }
    }
    return total;
  }
}
