import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { Service, startOf } from '../lib/service.js';

/** The service, with a probe inside of its process. */
export class ProbedService extends Service {
  constructor(env: NodeJS.ProcessEnv) {
    const probe = fileURLToPath(new URL('probe.js', import.meta.url));
    super(env, { args: ['--import', probe, ...startOf(env).args], isWatched: true });
  }

  /** The longest turn of its event loop since this was last asked, in milliseconds. */
  longestTurnMs(): Promise<number> {
    return this.tell('turn');
  }

  /** What it holds after a collection. */
  heapBytes(): Promise<number> {
    return this.tell('heap');
  }

  private async tell(what: string): Promise<number> {
    const answer = once(this.child, 'message');
    this.child.send(what);
    return (await answer)[0];
  }
}
