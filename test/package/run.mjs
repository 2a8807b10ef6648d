// The programs that the checks call.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

function start(command, args, options) {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options });
  const run = { child, out: '', err: '', exit: once(child, 'close').then(([code, signal]) => code ?? signal) };
  child.stdout.setEncoding('utf8').on('data', (text) => {
    run.out += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text) => {
    run.err += text;
  });
  return run;
}

/** What a program says, and what it ends with. */
export async function outcome(command, args, options) {
  const program = start(command, args, options);
  const code = await program.exit;
  return { code, out: program.out, err: program.err };
}

/** What a program says on stdout; throws, with all that it said, where it fails. */
export async function run(command, args, options) {
  const { code, ...program } = await outcome(command, args, options);
  if (code !== 0) throw new Error(`${[command, ...args].join(' ')} ended with ${code}:\n${program.out}${program.err}`);
  return program.out;
}

/** A program that serves, once it has said where: it is asked, and must then end by itself with 0, and without a word of complaint. */
export async function serving(command, args, options, ask) {
  const server = start(command, args, options);
  const overdue = setTimeout(() => server.child.kill('SIGKILL'), 30_000);
  try {
    const [url] = await Promise.race([once(createInterface(server.child.stdout), 'line'), server.exit.then(() => [])]);
    if (!url) throw new Error('it does not serve');
    const ending = await ask(url);
    server.child.kill('SIGTERM');
    await ending?.();
    const code = await server.exit;
    if (code !== 0) throw new Error(`at SIGTERM it ended with ${code}`);
    if (server.err) throw new Error('it complained');
  } catch (error) {
    server.child.kill('SIGKILL');
    throw new Error(`${[command, ...args].join(' ')}: ${error.message}\n${server.out}${server.err}`, { cause: error });
  } finally {
    clearTimeout(overdue);
  }
}
