// The servers that tests, the chaos run and the bench start for themselves: on free ports, in folders of their own, so that they can be
// killed, paused and restarted. As a program (`node tools/engines.mjs`), it has them installed where that can be done: as root on Debian.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { Worker } from 'node:worker_threads';

/** Where programs are that were not installed to the system. */
const own = fileURLToPath(new URL('../node_modules/.cache/engines', import.meta.url));

/** Only root has the folders that Debian installs servers to in its PATH. */
export const env = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/usr/local/sbin:${own}` };

/**
 * What belongs to the system, because no npm package brings it: by program, how to ask for its version, and its package in Debian. Without
 * one, it is had on some systems only, and does not fail a CI that has none.
 */
const programs = {
  'redis-server': { version: '--version', debian: 'redis-server' },
  'nats-server': { version: '--version', debian: 'nats-server' },
  'nats-server-2.11': { version: '--version' },
  nginx: { version: '-v', debian: 'nginx-light' },
  promtool: { version: '--version', debian: 'prometheus' },
  chromium: { version: '--version', debian: 'chromium' },
  haproxy: { version: '-v', debian: 'haproxy' },
};

/** How Chromium runs where there is no desktop, and asks nothing of the net by itself. */
export const chromiumArgs = [
  ...['--no-sandbox', '--disable-gpu', '--no-first-run'],
  ...['--disable-background-networking', '--disable-component-update', '--disable-sync'],
];

const isThere = (program) => spawnSync(program, [programs[program].version], { env }).status === 0;

/** The programs that this machine has not got. */
export function missing() {
  return Object.keys(programs).filter((program) => !isThere(program));
}

/** Installs what is missing, where that can be done; returns what is missing all the same. */
function install() {
  const wanted = missing();
  const isDebian = process.getuid?.() === 0 && existsSync('/etc/debian_version');
  const packages = wanted.flatMap((program) => programs[program].debian ?? []);
  if (isDebian && packages.length > 0) {
    console.error(`> apt-get install ${packages.join(' ')}`);
    // What is installed must not start as a service of the machine: the tests have their own.
    const script = `apt-get -qq update && apt-get -qq install -y --no-install-recommends ${packages.join(' ')}`;
    spawnSync('sh', ['-c', script], { env: { ...env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' }, stdio: ['ignore', 'ignore', 2] });
  }
  if (wanted.includes('nats-server-2.11')) provideNats211(isDebian);
  return missing();
}

/** Has `nats-server-2.11` lead to NATS 2.11 or later: the system's, or, where that is older, one that is unpacked from a later Debian. */
function provideNats211(isDebian) {
  mkdirSync(own, { recursive: true });
  const target = join(own, 'nats-server-2.11');
  rmSync(target, { force: true }); // a link may lead nowhere
  const [, major, minor] = /v(\d+)\.(\d+)/.exec(spawnSync('nats-server', ['--version'], { env, encoding: 'utf8' }).stdout ?? '') ?? [];
  if (Number(major) > 2 || Number(minor) >= 11) {
    const { stdout } = spawnSync('sh', ['-c', 'command -v nats-server'], { env, encoding: 'utf8' });
    symlinkSync(stdout.trim(), target);
  } else if (isDebian) {
    console.error('> nats-server of a later Debian');
    const folder = mkdtempSync(join(own, 'debian-'));
    try {
      unpackFrom('forky', 'nats-server', folder);
      renameSync(join(folder, 'usr/sbin/nats-server'), target);
    } catch (error) {
      console.error(error.message);
    } finally {
      rmSync(folder, { recursive: true });
    }
  }
}

/** Unpacks a package of another release of Debian into a folder, from where the system has its own; the system does not hear of it. */
function unpackFrom(release, name, folder) {
  const run = (command, ...args) => {
    const { status, stdout } = spawnSync(command, args, { cwd: folder, env, encoding: 'utf8', stdio: ['ignore', 'pipe', 2] });
    if (status !== 0) throw new Error(`${command} ${args.at(-1)} failed`);
    return stdout;
  };
  const targets = run('apt-get', 'indextargets', '--format', '$(CODENAME) $(COMPONENT) $(REPO_URI)', 'Created-By: Packages');
  const uri = targets
    .split('\n')
    .find((line) => /^[a-z]+ main /.test(line))
    ?.split(' ')[2];
  const signed = '[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]';
  writeFileSync(join(folder, 'sources.list'), `deb ${signed} ${uri} ${release} main\n`);
  mkdirSync(join(folder, 'lists'));
  const settings = {
    'Dir::Etc::SourceList': join(folder, 'sources.list'),
    'Dir::Etc::SourceParts': '-',
    'Dir::State::Lists': join(folder, 'lists'),
    'Dir::Cache': folder,
    'APT::Sandbox::User': 'root', // no other user can write to the folder
  };
  const options = Object.entries(settings).flatMap(([setting, value]) => ['-o', `${setting}=${value}`]);
  run('apt-get', '-qq', ...options, 'update');
  run('apt-get', '-qq', ...options, 'download', name);
  run('sh', '-c', `dpkg -x ${name}_*.deb .`);
}

export async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  await once(server.close(), 'close');
  return port;
}

// Not `everysec`: while a disk is busy, that keeps acknowledged writes in the process, and a kill loses them.
const appendOnly = ['--appendonly', 'yes', '--appendfsync', 'no'];

const kinds = {
  redis: {
    program: 'redis-server',
    args: (port, folder) => ['--port', `${port}`, '--dir', folder, '--bind', '127.0.0.1', '--save', '', ...appendOnly],
    isReady: /Ready to accept connections/,
    url: (port) => `redis://127.0.0.1:${port}`,
  },
  /** Watches over servers of Redis; told of them with `SENTINEL MONITOR`. */
  sentinel: {
    program: 'redis-server',
    prepare: (folder) => writeFile(join(folder, 'sentinel.conf'), ''),
    args: (port, folder) => [join(folder, 'sentinel.conf'), '--sentinel', '--port', `${port}`, '--bind', '127.0.0.1', '--dir', folder],
    isReady: /Sentinel ID is/,
    url: (port) => `redis://127.0.0.1:${port}`,
  },
  nats: {
    program: 'nats-server',
    args: (port, folder) => ['--addr', '127.0.0.1', '--port', `${port}`, '--jetstream', '--store_dir', folder],
    isReady: /Server is ready/,
    url: (port) => `nats://127.0.0.1:${port}`,
  },
};
kinds['nats-2.11'] = { ...kinds.nats, program: 'nats-server-2.11' };

/** What halts a process for the rest of each 100 ms in which it has had its share. In a thread of its own: it must keep time. */
const slowing = `
const { readFileSync } = require('node:fs');
const { pid, share } = require('node:worker_threads').workerData;
const waiting = new Int32Array(new SharedArrayBuffer(4));
const periodMs = 100;
const usedMs = () => Number(readFileSync('/proc/' + pid + '/schedstat', 'latin1').split(' ', 1)[0]) / 1e6;
try {
  for (;;) {
    const [begunAt, before] = [performance.now(), usedMs()];
    while (performance.now() - begunAt < periodMs && usedMs() - before < periodMs * share) Atomics.wait(waiting, 0, 0, 1);
    process.kill(pid, 'SIGSTOP');
    Atomics.wait(waiting, 0, 0, Math.max(1, begunAt + periodMs - performance.now()));
    process.kill(pid, 'SIGCONT');
  }
} catch {} // it has ended
`;

/** A server of one of these kinds, as a process of its own. */
export class Engine {
  #child;

  constructor(kind, port, folder, more) {
    this.kind = kind;
    this.port = port;
    this.folder = folder;
    this.more = more;
  }

  /** @param more further arguments of the program */
  static async start(kind, ...more) {
    const folder = await mkdtemp(join(tmpdir(), `nestjs-feed-${kind}-`));
    await kinds[kind].prepare?.(folder);
    const engine = new Engine(kind, await freePort(), folder, more);
    await engine.restart();
    return engine;
  }

  get pid() {
    return this.#child.pid;
  }

  get url() {
    return kinds[this.kind].url(this.port);
  }

  /** Starts it again on its port, with what is in its folder. */
  async restart() {
    const { program, args, isReady } = kinds[this.kind];
    const child = spawn(program, [...args(this.port, this.folder), ...this.more], { env, stdio: ['ignore', 'pipe', 'pipe'] });
    this.#child = child;
    let said = '';
    const ready = new Promise((resolve, reject) => {
      const hear = (chunk) => {
        if (said === undefined) return;
        said += chunk;
        if (isReady.test(said)) {
          said = undefined; // read on, or it would block once the pipe is full
          resolve();
        }
      };
      child.stdout.on('data', hear);
      child.stderr.on('data', hear);
      child.on('error', reject);
      child.on('exit', () => reject(new Error(`${program} ended: ${said}`)));
    });
    await ready;
  }

  /** Ends it as if the power had gone, for its process. */
  async kill() {
    const child = this.#child;
    this.#child = undefined;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  }

  /** Halts it: its connections stay open, and get no answer. */
  pause() {
    this.#child.kill('SIGSTOP');
  }

  resume() {
    this.#child.kill('SIGCONT');
  }

  /**
   * Gives it a share of a core from now on, as on a machine whose CPUs others have.
   *
   * @returns ends that
   */
  slow(share) {
    const worker = new Worker(slowing, { eval: true, workerData: { pid: this.pid, share } });
    return async () => {
      await worker.terminate();
      this.resume();
    };
  }

  /** Forgets all that it kept; only while it does not run. */
  async wipe() {
    await rm(this.folder, { recursive: true, force: true });
    this.folder = await mkdtemp(join(tmpdir(), `nestjs-feed-${this.kind}-`));
  }

  async stop() {
    await this.kill();
    await rm(this.folder, { recursive: true, force: true });
  }
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const left = install();
  if (left.length > 0) {
    console.error(`tests left out, because these programs are missing: ${left.join(', ')}`);
    if (process.env.CI && left.some((program) => programs[program].debian)) process.exit(1);
  }
}
