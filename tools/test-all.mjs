// All tests: those of `npm test` by both versions of ioredis, the slow specs, those of sockets on every other Node that is supported, and the
// package. Each part runs, also where one before it failed. The last line, alone on stdout, has the sums of Jest's runs:
// `N passed, N failed`.
//   NODES='22 24' npm run test:all    only these beside the Node that runs it; '' for none
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const cwd = join(dirname(fileURLToPath(import.meta.url)), '..');
const folder = mkdtempSync(join(tmpdir(), 'nestjs-feed-tests-'));
const jest = ['node', '--experimental-vm-modules', '--disable-warning=ExperimentalWarning', 'node_modules/jest/bin/jest.js'];

/** The handover stands on how Node's HTTP and stream code treats a connection, and a new Node must not break it unseen. */
const dependOnNode = ['test/(transport|limits)/'];
const nodes = (process.env.NODES ?? '20 22 24 26').split(' ').filter((major) => major && major !== process.versions.node.split('.')[0]);

process.env.REDIS_CLIENTS = 'all';

const failures = [];
const sums = { passed: 0, failed: 0 };

/** @param beside whether other parts run at the same time: what it says comes in one piece then, when it has ended */
async function part(name, beside, command, ...args) {
  if (!beside) console.error(`> ${name}`);
  const output = beside ? 'pipe' : 2;
  const child = spawn(command, args, { cwd, stdio: ['ignore', output, output], shell: process.platform === 'win32' });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (text) => {
      said += text;
    });
  }
  const [status] = await once(child, 'close');
  if (beside) console.error(`> ${name}\n${said}`);
  if (status !== 0) failures.push(name);
}

const firstLine = (text) => text.trimStart().split('\n', 1)[0];

/** A part that ends in a call of Jest. */
async function tests(name, ...command) {
  const file = join(folder, `${name}.json`);
  await part(name, false, ...command, '--json', `--outputFile=${file}`);
  try {
    const { numPassedTests, numFailedTests, numRuntimeErrorTestSuites, testResults } = JSON.parse(readFileSync(file, 'utf8'));
    sums.passed += numPassedTests;
    sums.failed += numFailedTests + numRuntimeErrorTestSuites;
    for (const { name: spec, status, message, assertionResults } of testResults) {
      if (status !== 'failed') continue;
      const failed = assertionResults.filter((test) => test.status === 'failed');
      if (failed.length === 0) failures.push(`${name}: ${relative(cwd, spec)}: ${firstLine(message)}`);
      for (const test of failed)
        failures.push(`${name}: ${relative(cwd, spec)}: ${test.fullName}: ${firstLine(test.failureMessages[0] ?? '')}`);
    }
  } catch {
    sums.failed += 1; // there was no run
  }
}

/** The npm package that has a Node's binary for this machine. */
const binary = (major) => `node-${process.platform === 'win32' ? 'win' : process.platform}-${process.arch}@${major}`;

await tests('npm test', 'npm', 'test', '--');
await tests('the slow tests', ...jest, '--testRegex', '\\.slow\\.spec\\.ts$', '--testTimeout', '600000');
// It installs applications for most of its time.
const packed = part('npm run package', true, 'npm', 'run', 'package');
for (const major of nodes) {
  await tests(`Node ${major}`, 'npm', 'exec', '--yes', `--package=${binary(major)}`, '--', ...jest, '--testPathPatterns', ...dependOnNode);
}
await packed;

rmSync(folder, { recursive: true });
for (const name of failures) console.error(`failed: ${name}`);
console.log(`${sums.passed} passed, ${sums.failed} failed`);
process.exitCode = failures.length > 0 ? 1 : 0;
