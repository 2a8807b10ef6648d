import { readdirSync } from 'node:fs';
import { type Counts, Run, type Served } from '../run.js';
import { until } from '../until.js';

/** What a server's probe says: see probe.mjs. */
export interface Held {
  turnMs: number;
  heapBytes: number;
  rssBytes: number;
  resources: Record<string, number>;
  descriptors: number;
}

/** More heap than before is what a just-in-time compiler and caches take, up to here. */
const heapRoom = 6 * 2 ** 20;

/** How many times it is looked again whether all sockets are closed. */
const mostWaits = 50;

/** A server as a process of its own, and what it holds. */
export class Watched {
  longestTurnMs = 0;
  private before!: Held;

  private constructor(readonly served: Served) {}

  static async start(program: string, env: Record<string, string>): Promise<Watched> {
    const args = ['--expose-gc', '--import', './test/support/fuzz/probe.mjs', program];
    return new Watched(await Run.serving(args, /http:\/\/\S+:\d+/, env));
  }

  get port(): number {
    return this.served.port;
  }

  /** Notes what it holds once it has served a little. */
  async begin(): Promise<void> {
    this.before = await this.rest();
    this.longestTurnMs = 0;
  }

  /**
   * Expects that it has nothing open, holds what it held before, and ends in good order.
   *
   * @param historyBytes how much more heap history may take
   */
  async end(historyBytes = 0): Promise<string> {
    const { before, served } = this;
    let after = await this.rest();
    // A socket whose client was still sending when it was refused stays for a second, so that its client can read why.
    for (let n = 0; n < mostWaits && after.descriptors > before.descriptors; n += 1) after = await this.rest();
    const kept = ({ resources, descriptors }: Held) => ({ ...resources, Timeout: 0, Immediate: 0, descriptors });
    // A socket of before may have been closed meanwhile.
    const more = Object.entries(kept(after)).filter(([name, count]) => count > ((kept(before) as Record<string, number>)[name] ?? 0));
    expect(more).toEqual([]);
    expect(after.heapBytes - before.heapBytes).toBeLessThan(heapRoom + historyBytes);
    await served.stop();
    const megabytes = (bytes: number) => `${(bytes / 2 ** 20).toFixed(1)} MB`;
    return `longest turn ${this.longestTurnMs.toFixed(1)} ms, heap + ${megabytes(after.heapBytes - before.heapBytes)}, RSS ${megabytes(before.rssBytes)} to ${megabytes(after.rssBytes)}`;
  }

  /** Waits until all connections are gone; returns what it then holds. */
  private async rest(): Promise<Held> {
    await until(async () => (await this.counts()).open === 0);
    let held = await this.held();
    // Sockets that are closed, and the request that has just counted.
    await until(async () => {
      const { descriptors } = held;
      await new Promise((resolve) => setTimeout(resolve, 50));
      held = await this.held();
      return held.descriptors === descriptors;
    });
    return held;
  }

  private counts(): Promise<Counts> {
    return this.served.json<Counts>('/health/connections').catch((error) => {
      const { child, err } = this.served;
      const end = child.exitCode ?? child.signalCode;
      throw end === null ? error : new Error(`the server has ended (${end}): ${err}`);
    });
  }

  private async held(): Promise<Held> {
    const { served } = this;
    const from = served.out.length;
    served.child.kill('SIGWINCH');
    const line = () => /\nprobe (.*)\n/.exec(served.out.slice(from))?.[1];
    await until(() => line() !== undefined || served.child.exitCode !== null || served.child.signalCode !== null);
    const text = line();
    if (text === undefined) throw new Error(`the server has ended (${served.child.exitCode ?? served.child.signalCode}): ${served.err}`);
    const held = { ...JSON.parse(text), descriptors: readdirSync(`/proc/${served.child.pid}/fd`).length } as Held;
    this.longestTurnMs = Math.max(this.longestTurnMs, held.turnMs);
    return held;
  }
}
