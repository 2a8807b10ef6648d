import type { Redis } from 'ioredis';
import { newEpoch } from '../epoch.js';
import { measure } from './redis-measure-script.js';
import { remember, remembered } from './redis-names.js';
import { read } from './redis-read-script.js';
import { append, beat, clear } from './redis-scripts.js';

const scripts = { append, beat, clear, measure, read, remember, remembered };

export type ScriptName = keyof typeof scripts;

/** Has Redis run the scripts. */
export class RedisScriptRunner {
  private readonly hashes: Partial<Record<ScriptName, string>> = {};

  /** Loads the scripts, which another one may have flushed. */
  async load(redis: Redis): Promise<void> {
    const names = Object.keys(scripts) as ScriptName[];
    const hashes = await Promise.all(names.map((name) => redis.script('LOAD', scripts[name])));
    names.forEach((name, n) => {
      this.hashes[name] = String(hashes[n]);
    });
  }

  async run(redis: Redis, name: ScriptName, keys: readonly string[], values: readonly (string | number)[]): Promise<unknown> {
    const call = () => redis.evalsha(this.hashes[name] ?? '', keys.length, ...keys, newEpoch(), ...values);
    try {
      return await call();
    } catch (error) {
      if (!(error as Error).message.startsWith('NOSCRIPT')) throw error;
      await this.load(redis);
      return call();
    }
  }
}
