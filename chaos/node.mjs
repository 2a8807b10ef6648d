import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { Agent, request } from 'node:http';
import { createInterface } from 'node:readline';
import { environment, startArguments } from '../soak/service.mjs';
import { freePort } from '../tools/engines.mjs';

/** How long a node may take to start and a publish to be answered, in milliseconds. */
const patience = 20_000;

const key = 'chaos';

/** The built service as one of several processes: it can be killed, and started again on its port. */
export class Node {
  isUp = false;
  #agent = new Agent({ keepAlive: true, maxSockets: 128, timeout: 2000 });
  #child;
  #env;

  constructor(name, port, env) {
    this.name = name;
    this.port = port;
    this.#env = env;
  }

  /** @param options.env more of the service's environment */
  static async start(name, { adapter, broker, env: more }) {
    const port = await freePort();
    const env = {
      ...environment(adapter),
      PORT: `${port}`,
      FEED_BROKER: broker,
      FEED_PUBLISH_KEY: key,
      FEED_BUFFER_BYTES: '65536',
      FEED_HISTORY_TTL_MS: '300000',
      FEED_NODE_NAME: name,
      ...more,
    };
    const node = new Node(name, port, env);
    await node.restart();
    return node;
  }

  get url() {
    return { hostname: '127.0.0.1', port: this.port };
  }

  get pid() {
    return this.#child.pid;
  }

  async restart() {
    const child = spawn(process.execPath, startArguments(), { env: this.#env, stdio: ['ignore', 'pipe', 'pipe'] });
    this.#child = child;
    let complaints = '';
    child.stderr.setEncoding('utf8').on('data', (text) => {
      complaints = (complaints + text).slice(-4000);
    });
    const ended = once(child, 'exit').then(() => {
      throw new Error(`node ${this.name} ended: ${complaints}`);
    });
    const lines = createInterface({ input: child.stdout });
    await Promise.race([once(lines, 'line', { signal: AbortSignal.timeout(patience) }), ended]);
    ended.catch(() => {});
    this.isUp = true;
  }

  /** Ends it; resolves with its exit code, or the signal that ended it. */
  async kill(signal = 'SIGKILL') {
    this.isUp = false;
    const child = this.#child;
    if (child.exitCode === null && child.signalCode === null) {
      const ended = once(child, 'exit');
      child.kill(signal);
      await ended;
    }
    return child.exitCode ?? child.signalCode;
  }

  /** Publishes text; resolves with whether it was acknowledged. */
  publish(feed, text) {
    return new Promise((resolve) => {
      const headers = { authorization: `Bearer ${key}`, 'content-type': 'text/plain', 'content-length': Buffer.byteLength(text) };
      const options = { host: '127.0.0.1', port: this.port, path: `/test/${feed}`, method: 'POST', agent: this.#agent, headers };
      const outgoing = request({ ...options, signal: AbortSignal.timeout(patience) }, (response) => {
        response.resume().on('close', () => resolve(response.statusCode === 201));
      });
      outgoing.on('error', () => resolve(false)).end(text);
    });
  }

  async counts() {
    const response = await fetch(`http://127.0.0.1:${this.port}/health/connections?scope=cluster`, {
      signal: AbortSignal.timeout(patience),
    });
    return response.json();
  }
}
