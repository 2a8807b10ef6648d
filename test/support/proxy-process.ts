import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { env } from '../../tools/engines.mjs';
import { Peer } from './peer.js';
import { until } from './serve.js';

/** How nginx and HAProxy are told to be one process in the foreground, and to take the file `configuration` of their folder. */
const commands = {
  nginx: ['-e', 'stderr', '-p', '.', '-g', 'daemon off; master_process off; pid nginx.pid;', '-c', 'configuration'],
  haproxy: ['-db', '-f', 'configuration'],
};

/** nginx or HAProxy, as a process in a folder of its own. */
export class ProxyProcess {
  private said = '';

  private constructor(
    readonly port: number,
    private readonly folder: string,
    private readonly child: ChildProcess,
  ) {
    const hear = (text: string) => {
      this.said += text;
    };
    child.stdout?.setEncoding('utf8').on('data', hear);
    child.stderr?.setEncoding('utf8').on('data', hear);
  }

  /**
   * Resolves once it listens.
   *
   * @param port which the configuration has it listen on
   */
  static async start(program: keyof typeof commands, configuration: string, port: number): Promise<ProxyProcess> {
    const folder = await mkdtemp(join(tmpdir(), `${program}-`));
    await writeFile(join(folder, 'configuration'), configuration);
    const child = spawn(program, commands[program], { cwd: folder, env, stdio: ['ignore', 'pipe', 'pipe'] });
    const proxy = new ProxyProcess(port, folder, child);
    await until(() => child.exitCode !== null || proxy.isListening());
    if (child.exitCode !== null) throw new Error(`${program} does not start: ${proxy.said}`);
    return proxy;
  }

  async stop(): Promise<void> {
    this.child.kill();
    if (this.child.exitCode === null) await once(this.child, 'close');
    await rm(this.folder, { recursive: true });
  }

  private async isListening(): Promise<boolean> {
    const peer = await Peer.to(this.port).catch(() => undefined);
    peer?.leave();
    return peer !== undefined;
  }
}
