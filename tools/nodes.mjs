// Runs tests on every Node that is supported, beside the one that is installed: the handover stands on how Node's HTTP code treats
// a connection, and a new Node must not break it unseen. The npm package `node` brings the binaries. Arguments go to Jest.
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const cwd = join(dirname(fileURLToPath(import.meta.url)), '..');
const installed = process.versions.node.split('.')[0];

for (const major of ['20', '22', '24'].filter((version) => version !== installed)) {
  console.error(`> the tests on Node ${major}`);
  const jest = ['node', '--experimental-vm-modules', '--disable-warning=ExperimentalWarning', 'node_modules/jest/bin/jest.js'];
  const args = ['exec', '--yes', `--package=node@${major}`, '--', ...jest, ...process.argv.slice(2)];
  const { status } = spawnSync('npm', args, { cwd, stdio: 'inherit', shell: process.platform === 'win32' });
  if (status !== 0) process.exit(status ?? 1);
}
