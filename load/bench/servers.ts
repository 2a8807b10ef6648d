import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { environment, root, run, type Start } from '../lib/server.js';
import { startOf } from '../lib/service.js';

/** Servers in other languages stand where their sources are, those in TypeScript beside this file once it is compiled. */
export const source = (name: string) => join(root, 'load/bench/peers', name);

/** How a peer in TypeScript is started. */
export const peer = (name: string, ...args: string[]): Start => ({
  command: process.execPath,
  args: [fileURLToPath(new URL(`peers/${name}.js`, import.meta.url)), ...args],
  env: environment(),
});

/** A server that is compared. */
export interface Entry {
  name: string;
  /** What the others are compared with. */
  role?: 'floor' | 'go';
  /** How it is started, or why it can't be run here. What is compiled goes into the directory. */
  prepare(directory: string): Promise<Start | string>;
}

const service = (name: string, env: NodeJS.ProcessEnv): Entry => ({ name, prepare: async () => startOf(env) });
const script = (name: string, file: string, ...args: string[]): Entry => ({ name, prepare: async () => peer(file, ...args) });

/** A server that is compiled where its toolchain is found. */
function compiled(
  name: string,
  role: Entry['role'],
  [compiler, debian]: [compiler: string, debian: string],
  build: (directory: string) => string[],
  start: (directory: string) => Start,
): Entry {
  const prepare = async (directory: string) => {
    const { code, why } = await run(compiler, build(directory));
    if (code === 0) return { env: environment(), ...start(directory) };
    return why.includes('ENOENT') ? `no ${compiler} here (Debian: apt-get install ${debian})` : `does not compile: ${why}`;
  };
  return { name, role, prepare };
}

/** What is compared, in the order in which it is run and shown. */
export const servers: Entry[] = [
  compiled(
    'C epoll',
    'floor',
    ['gcc', 'gcc libc6-dev'],
    (directory) => ['-O2', '-o', join(directory, 'c-server'), source('c/server.c')],
    (directory) => ({ command: join(directory, 'c-server'), args: [] }),
  ),
  compiled(
    'Go net/http',
    'go',
    ['go', 'golang-go'],
    (directory) => ['build', '-o', join(directory, 'go-server'), source('go/main.go')],
    (directory) => ({ command: join(directory, 'go-server'), args: [] }),
  ),
  compiled(
    'Erlang gen_tcp',
    undefined,
    ['erlc', 'erlang-base'],
    (directory) => ['-o', directory, source('erlang/feed_peer.erl')],
    // In the directory, or a crash leaves a dump in the repository.
    (directory) => ({ command: 'erl', args: ['-noinput', '-pa', directory, '-s', 'feed_peer', 'main'], cwd: directory }),
  ),
  // No more than the adapter and the handover differ between the service's rows.
  service('service Express', { FEED_ADAPTER: 'express' }),
  service('service Express no handover', { FEED_ADAPTER: 'express', FEED_HANDOVER: 'off' }),
  service('service Fastify', { FEED_ADAPTER: 'fastify' }),
  service('service Fastify no handover', { FEED_ADAPTER: 'fastify', FEED_HANDOVER: 'off' }),
  script('Nest @Sse() Express', 'nest-sse', 'express'),
  script('Nest @Sse() Fastify', 'nest-sse', 'fastify'),
  script('better-sse Express 5', 'better-sse'),
  script('bare node:http', 'node-http'),
];

/** The service's rows as most parts show them. */
export const services = [
  { name: 'service Express', adapter: 'express' },
  { name: 'service Fastify', adapter: 'fastify' },
] as const;
