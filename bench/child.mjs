import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/** The root of this repository. */
export const root = fileURLToPath(new URL('..', import.meta.url));

/** Every child process that runs: whatever ends the bench ends these, and no others. */
const children = new Set();
process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL');
});
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(130));

function start(command, args, env) {
  const child = spawn(command, args, { cwd: root, env, stdio: ['ignore', 'pipe', 'pipe'] });
  children.add(child);
  let errors = '';
  child.stderr.setEncoding('utf8').on('data', (text) => {
    errors = (errors + text).slice(-2000);
  });
  const ended = new Promise((resolve) => {
    child.once('error', (error) => {
      children.delete(child);
      resolve(error.message);
    });
    child.once('close', (code, signal) => {
      children.delete(child);
      resolve(`exit ${code ?? signal}${errors ? `: ${errors.trim()}` : ''}`);
    });
  });
  return { child, ended };
}

/** Runs a command to its end: `code` is its exit code, `why` tells what it was and what it said on stderr. */
export async function run(command, args, env = process.env) {
  const { child, ended } = start(command, args, env);
  child.stdout.resume();
  const why = await ended;
  return { code: child.exitCode, why };
}

/** How long a server may take to start, and to end, in milliseconds. */
const patience = 20_000;

/**
 * Starts a server and waits until it says where it listens: the first `http://host:port` on its stdout.
 *
 * @throws Error when it ends instead, or says nothing
 */
export async function serve(command, args, env) {
  const { child, ended } = start(command, args, env);
  const late = AbortSignal.timeout(patience);
  const lines = createInterface({ input: child.stdout });
  const url = new Promise((resolve) => {
    lines.on('line', (line) => {
      const found = /http:\/\/[\d.]+:\d+/.exec(line);
      if (found) resolve(found[0]);
    });
  });
  const answer = await Promise.race([
    url.then((value) => ({ url: value })),
    ended.then((why) => ({ why })),
    once(late, 'abort').then(() => ({ why: `said no address within ${patience} ms` })),
  ]);
  if (!answer.url) {
    child.kill('SIGKILL');
    throw new Error(answer.why);
  }

  return {
    url: answer.url,
    pid: child.pid,
    /** Ends it, by force when it does not end by itself; tells how it ended. */
    async stop() {
      child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), patience);
      const how = await ended;
      clearTimeout(timer);
      return how;
    },
  };
}
