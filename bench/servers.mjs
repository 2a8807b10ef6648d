import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { root, run } from './child.mjs';

const peer = (name) => fileURLToPath(new URL(`peers/${name}`, import.meta.url));

/** The service as `npm start` runs it: the flags in that script are part of what is measured. */
function startCommand() {
  const script = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).scripts.start;
  // `exec` has the shell make way for the service, so that a signal to npm reaches it
  const [command, ...args] = script
    .trim()
    .replace(/^exec /, '')
    .split(/\s+/);
  if (command !== 'node' || /["'`$&|;<>]/.test(script)) throw new Error(`the start script is more than node and its arguments: ${script}`);
  return args;
}

const service = (name, env) => ({
  name,
  // No more than the adapter and the handover differ between the service's rows.
  prepare: () => ({ command: process.execPath, args: startCommand(), env: { PORT: '0', HOST: '127.0.0.1', ...env } }),
});

const script = (name, file, ...args) => ({
  name,
  prepare: () => ({ command: process.execPath, args: [peer(file), ...args] }),
});

/** A server that is compiled into the directory for the bench's own files, where its toolchain is found. */
const compiled = (name, { role, compiler, debian, build, start }) => ({
  name,
  role,
  async prepare(directory) {
    const { code, why } = await run(compiler, build(directory));
    if (code === 0) return start(directory);
    return { missing: why.includes('ENOENT') ? `no ${compiler} here (Debian: apt-get install ${debian})` : `does not compile: ${why}` };
  },
});

/**
 * What is compared, in the order in which it is run and shown. `prepare(directory)` gives the command and its environment, or why
 * the server cannot be run here. `role` marks those that the others are compared with.
 */
export const servers = [
  compiled('C epoll', {
    role: 'floor',
    compiler: 'gcc',
    debian: 'gcc libc6-dev',
    build: (directory) => ['-O2', '-o', join(directory, 'c-server'), peer('c/server.c')],
    start: (directory) => ({ command: join(directory, 'c-server'), args: [] }),
  }),
  compiled('Go net/http', {
    role: 'go',
    compiler: 'go',
    debian: 'golang-go',
    build: (directory) => ['build', '-o', join(directory, 'go-server'), peer('go/main.go')],
    start: (directory) => ({ command: join(directory, 'go-server'), args: [] }),
  }),
  compiled('Erlang gen_tcp', {
    compiler: 'erlc',
    debian: 'erlang-base',
    build: (directory) => ['-o', directory, peer('erlang/feed_peer.erl')],
    start: (directory) => ({
      command: 'erl',
      args: ['-noinput', '-pa', directory, '-s', 'feed_peer', 'main'],
      env: { ERL_CRASH_DUMP_SECONDS: '0' }, // else a crash leaves a dump in the repository
    }),
  }),
  service('service Express', { FEED_ADAPTER: 'express' }),
  service('service Express no handover', { FEED_ADAPTER: 'express', FEED_HANDOVER: 'off' }),
  service('service Fastify', { FEED_ADAPTER: 'fastify' }),
  service('service Fastify no handover', { FEED_ADAPTER: 'fastify', FEED_HANDOVER: 'off' }),
  script('Nest @Sse() Express', 'nest-sse.mjs', 'express'),
  script('Nest @Sse() Fastify', 'nest-sse.mjs', 'fastify'),
  script('better-sse Express 5', 'better-sse.mjs'),
  script('bare node:http', 'node-http.mjs'),
];

/** The environment of every server: this one's, without what would configure the service, and as in production. */
export function environment(period, own = {}) {
  const inherited = Object.entries(process.env).filter(([name]) => !/^(FEED_|HOST$|PORT$|WORKERS$|NODE_OPTIONS$|npm_)/.test(name));
  return { ...Object.fromEntries(inherited), NODE_ENV: 'production', FEED_INTERVAL_MS: String(period), ...own };
}
