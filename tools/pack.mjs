// Makes a folder with the built service and what it needs to run, and nothing else: for the image, or for a server without one.
//   npm run build && node tools/pack.mjs FOLDER
// Who embeds the module must not get what the service alone needs, so that is among the devDependencies; here it is named, and is installed
// as the lock file has it.
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');

/** The devDependencies that `dist/main.js` imports or serves, at once or when they are asked for; test/deploy/manifests.spec.ts looks for them. */
export const packages = [
  '@fastify/static',
  '@nats-io/jetstream',
  '@nats-io/transport-node',
  '@nestjs/common',
  '@nestjs/core',
  '@nestjs/platform-express',
  '@nestjs/platform-fastify',
  '@nestjs/schedule',
  '@nestjs/swagger',
  '@nestjs/terminus',
  'ioredis',
  'prom-client',
  'rxjs',
  'uplot',
  'yaml',
];

function pack(folder) {
  const { name, version, type, license, engines, scripts, dependencies, devDependencies, overrides, scarfSettings } = JSON.parse(
    readFileSync(join(root, 'package.json'), 'utf8'),
  );
  const service = {
    ...{ name, version, private: true, type, license, engines },
    // Without what makes a clone ready to run.
    scripts: { start: scripts.start.split(' && ').at(-1) },
    dependencies: { ...dependencies, ...Object.fromEntries(packages.map((wanted) => [wanted, devDependencies[wanted]])) },
    ...{ overrides, scarfSettings },
  };
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'package.json'), `${JSON.stringify(service, undefined, 2)}\n`);
  cpSync(join(root, 'package-lock.json'), join(folder, 'package-lock.json'));
  cpSync(join(root, 'dist'), join(folder, 'dist'), { recursive: true, filter: (path) => !/\.(map|d\.ts)$|\.spec\./.test(path) });
  const npm = ['ci', '--omit=dev', '--ignore-scripts', '--prefer-offline', '--no-audit', '--no-fund'];
  const { status } = spawnSync('npm', npm, { cwd: folder, stdio: 'inherit', shell: process.platform === 'win32' });
  if (status !== 0) process.exit(status ?? 1);
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const [folder] = process.argv.slice(2);
  if (folder === undefined) {
    console.error('node tools/pack.mjs FOLDER');
    process.exit(1);
  }
  pack(folder);
}
