// Makes a clone ready to run: installs what the lock file names when that has changed, and builds when asked to (`build`: the
// service; `load`: the commands in load/ as well) and a source is newer than the last build. `npm start`, `npm test` and
// `npm run flood` call it first, so that each of them works on a machine that has Node and nothing else.
import { spawnSync } from 'node:child_process';
import { readdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');

/** When `path`, or the newest file below it, was last changed; 0 when there is none. */
function changedAt(path) {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (!stat) return 0;
  if (!stat.isDirectory()) return stat.mtimeMs;
  return Math.max(stat.mtimeMs, ...readdirSync(path).map((name) => changedAt(join(path, name))));
}

const at = (...names) => Math.max(...names.map((name) => changedAt(join(root, name))));

function run(...args) {
  console.error(`> npm ${args.join(' ')}`);
  // What npm and the compiler say goes to stderr: stdout belongs to the program that is started afterwards.
  const { status } = spawnSync('npm', args, { cwd: root, stdio: ['ignore', 2, 2], shell: process.platform === 'win32' });
  if (status !== 0) process.exit(status ?? 1);
}

if (at('node_modules/.package-lock.json') < at('package-lock.json')) run('ci');
const isLoad = process.argv.includes('load');
const isBuild = isLoad || process.argv.includes('build');
if (isBuild && at('dist/main.js') < at('src', 'package-lock.json', 'tsconfig.json', 'tsconfig.build.json')) run('run', '--silent', 'build');
if (isLoad && at('.load') < at('load', 'package-lock.json', 'tsconfig.json')) run('exec', '--', 'tsc', '-p', 'load');
