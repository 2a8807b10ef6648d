import { on } from 'node:events';
import { fileURLToPath } from 'node:url';
import { descriptors, patience, rssBytes, threads } from '../lib/server.js';
import { Service, startOf } from '../lib/service.js';
import type { Probe } from './probe.js';

/** What the service holds at one moment. */
export interface Held extends Omit<Probe, 'isCollected'> {
  rssBytes: number;
  threads: number;
  descriptors: number;
}

/** The built service, seen from outside and through a probe of its own. */
export class WatchedService extends Service {
  #probe: Probe = { isCollected: false, heapBytes: 0, externalBytes: 0, resources: {} };

  constructor(adapter: string) {
    const env = {
      FEED_ADAPTER: adapter,
      FEED_BUFFER_BYTES: '16384',
      // Short, so that heartbeats and the expiry of history have their part in every soak.
      FEED_HEARTBEAT_MS: '2000',
      FEED_HISTORY_TTL_MS: '20000',
    };
    const probe = fileURLToPath(new URL('probe.js', import.meta.url));
    super(env, { args: ['--import', probe, ...startOf(env).args], isWatched: true });
    this.child.on('message', (probe) => {
      this.#probe = probe as Probe;
    });
  }

  /** What it holds, with what its probe said: by default, the last time. */
  sample({ heapBytes, externalBytes, resources } = this.#probe): Held {
    const { pid } = this;
    return { rssBytes: rssBytes(pid), threads: threads(pid), descriptors: descriptors(pid), heapBytes, externalBytes, resources };
  }

  /** Closes the connections of this process's requests, has the service collect its garbage, and resolves with what it then holds. */
  async rest(): Promise<Held> {
    this.hangUp();
    const answers = on(this.child, 'message', { signal: AbortSignal.timeout(patience) });
    this.child.send('collect');
    for await (const [answer] of answers) if (answer.isCollected) return this.sample(answer);
    throw new Error('the probe is gone');
  }
}
