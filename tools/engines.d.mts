export type EngineKind = 'redis' | 'sentinel' | 'nats' | 'nats-2.11';

/** The environment in which the programs are found. */
export const env: NodeJS.ProcessEnv;

/** How Chromium runs where there is no desktop. */
export const chromiumArgs: string[];

/** The programs that this machine has not got. */
export function missing(): string[];

export function freePort(): Promise<number>;

/** A server as a process of its own; see engines.mjs. */
export class Engine {
  private constructor();
  static start(kind: EngineKind, ...more: string[]): Promise<Engine>;
  readonly pid: number;
  readonly port: number;
  readonly url: string;
  readonly folder: string;
  restart(): Promise<void>;
  kill(): Promise<void>;
  pause(): void;
  resume(): void;
  slow(share: number): () => Promise<void>;
  wipe(): Promise<void>;
  stop(): Promise<void>;
}
