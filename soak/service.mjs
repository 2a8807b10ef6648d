import { spawn } from 'node:child_process';
import { on, once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const folder = dirname(fileURLToPath(import.meta.url));
const root = dirname(folder);

/** What publishes. */
const key = 'soak';

/** How long the service may take to start, to answer, and to end, in milliseconds. */
const patience = 20_000;

/** Requests under way at a time, and the sockets they have. */
const maxRequests = 32;

/** Milliseconds after which an idle socket is closed: before the service would (Node's: 5000), or a request might meet it closing. */
const idle = 2000;

/** The arguments of `npm start`: its Node flags are part of what is tried. */
export function startArguments() {
  const { start } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).scripts;
  return start.replace(/^(exec )?node /, '').split(/\s+/);
}

/** The environment: this one's, without what would configure the service. */
export function environment(adapter) {
  const inherited = Object.entries(process.env).filter(([name]) => !/^(FEED_|HOST$|PORT$|WORKERS$|NODE_OPTIONS$|npm_)/.test(name));
  return {
    ...Object.fromEntries(inherited),
    NODE_ENV: 'production',
    HOST: '127.0.0.1',
    PORT: '0',
    FEED_ADAPTER: adapter,
    FEED_PUBLISH_KEY: key,
    FEED_INTERVAL_MS: '0', // what followers get is what is published, and nothing else
    FEED_BUFFER_BYTES: '16384',
    // Short, so that heartbeats and the expiry of history have their part in every soak.
    FEED_HEARTBEAT_MS: '2000',
    FEED_HISTORY_TTL_MS: '20000',
  };
}

/** The built service as a process of its own, seen from outside and through its probe. */
export class Service {
  /** Resolves with its exit code, or the signal that ended it. */
  ended;
  /** What it has written on stderr, where a healthy service has nothing to say. */
  complaints = '';
  #child;
  #agent = new Agent({ keepAlive: true, maxSockets: maxRequests, timeout: idle });
  #probe;

  constructor(adapter) {
    const args = ['--import', join(folder, 'probe.mjs'), ...startArguments()];
    this.#child = spawn(process.execPath, args, {
      cwd: root,
      env: environment(adapter),
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      detached: true, // a terminal's Ctrl-C is for the soak, which then ends the service
    });
    const kill = () => this.#child.kill('SIGKILL');
    process.once('exit', kill);
    this.ended = new Promise((resolve) => {
      this.#child.once('error', ({ message }) => resolve(message));
      this.#child.once('close', (code, signal) => resolve(code ?? signal));
    });
    this.ended.then(() => process.off('exit', kill));
    this.#child.stderr.setEncoding('utf8').on('data', (text) => {
      this.complaints = (this.complaints + text).slice(-4000);
    });
    this.#child.on('message', (sample) => {
      this.#probe = sample;
    });
  }

  get pid() {
    return this.#child.pid;
  }

  /** Whether the process is still there. */
  get isRunning() {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Waits until it says where it listens. */
  async listening() {
    const lines = createInterface({ input: this.#child.stdout });
    const [line] = await Promise.race([
      once(lines, 'line', { signal: AbortSignal.timeout(patience) }),
      this.ended.then((code) => {
        throw new Error(`the service ended with ${code}: ${this.complaints}`);
      }),
    ]);
    this.url = new URL(/http:\/\/[\d.]+:\d+/.exec(line)[0]);
  }

  /** Asks for something over a kept connection; resolves with the status and the body. */
  ask(path, { method = 'GET', headers = {}, body } = {}) {
    return new Promise((resolve, reject) => {
      const { hostname: host, port } = this.url;
      const signal = AbortSignal.timeout(patience);
      const outgoing = request({ host, port, path, method, headers, agent: this.#agent, signal }, (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (part) => {
          text += part;
        });
        response.on('end', () => resolve({ status: response.statusCode, text })).on('error', reject);
      });
      outgoing.on('error', reject).end(body);
    });
  }

  /** Publishes text to a feed; resolves with the status of the answer. */
  async publish(feed, text) {
    const headers = { authorization: `Bearer ${key}`, 'content-type': 'text/plain', 'content-length': Buffer.byteLength(text) };
    return (await this.ask(`/test/${feed}`, { method: 'POST', headers, body: text })).status;
  }

  /** What it counts (`/health/connections`). */
  async counts() {
    const { status, text } = await this.ask('/health/connections');
    if (status !== 200) throw new Error(`/health/connections answered with ${status}`);
    return JSON.parse(text);
  }

  /** What it holds at this moment, and what its probe said: by default, the last time. */
  sample({ heapBytes, externalBytes, resources } = this.#probe) {
    const status = readFileSync(`/proc/${this.pid}/status`, 'latin1');
    const field = (name) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)[1]);
    return {
      rssBytes: field('VmRSS') * 1024,
      threads: field('Threads'),
      descriptors: readdirSync(`/proc/${this.pid}/fd`).length,
      heapBytes,
      externalBytes,
      resources,
    };
  }

  /** Lets go of the requests' own connections, has it collect its garbage, and resolves with what it then holds. */
  async rest() {
    this.#agent.destroy();
    const answers = on(this.#child, 'message', { signal: AbortSignal.timeout(patience) });
    this.#child.send('collect');
    for await (const [answer] of answers) if (answer.isCollected) return this.sample(answer);
  }

  /** Ends it as an operator would; by force when it does not end by itself. Resolves with its exit code, or the signal that ended it. */
  async stop() {
    this.#agent.destroy();
    this.#child.kill('SIGTERM');
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), patience);
    const code = await this.ended;
    clearTimeout(timer);
    return code;
  }
}
