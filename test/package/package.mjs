// Checks the package as npm would publish it: what is in it, and that it works in applications that it is installed into.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as ask from './ask.mjs';
import { Host } from './host.mjs';
import { NewApplication } from './new-application.mjs';
import { serving } from './run.mjs';
import { lint, pack, unreached } from './tarball.mjs';

const root = join(import.meta.dirname, '../..');
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const limits = JSON.parse(readFileSync(join(import.meta.dirname, 'limits.json'), 'utf8'));
const patch = readFileSync(join(import.meta.dirname, 'apps/existing.patch'), 'utf8');
const readme = /^## The module in ten lines\n+```ts\n(.*?)^```/ms.exec(readFileSync(join(root, 'README.md'), 'utf8'))?.[1];

const jest = /^ *("transformIgnorePatterns": .*)$/m.exec(readFileSync(join(root, 'docs/embedding.md'), 'utf8'))?.[1];

const entries = Object.keys(manifest.exports).filter((name) => !name.endsWith('.json'));
const optional = Object.keys(manifest.peerDependenciesMeta);
/** By Nest's major version: the optional peers of that time. */
const older = { 11: { echarts: '^5.3.0', ioredis: '^5.3.0' }, 12: {} };
const platforms = ['express', 'fastify'];

const began = performance.now();
const tell = (line) => console.log(`${((performance.now() - began) / 1000).toFixed(0).padStart(4)} s  ${line}`);
function hold(isSo, complaint) {
  if (!isSo) throw new Error(complaint);
}

/** What an application has, less what is optional. */
const host = (name, file, versions, without) => {
  const nest = ['common', 'core', ...platforms.map((platform) => `platform-${platform}`)].map((part) => [`@nestjs/${part}`, versions.nest]);
  const types = ['node', 'react'].map((name) => [`@types/${name}`, manifest.devDependencies[`@types/${name}`]]);
  const others = { rxjs: '^7.8.0', 'reflect-metadata': '^0.2.0', ...Object.fromEntries(types) };
  const dependencies = { 'nestjs-feed': `file:${file}`, ...Object.fromEntries(nest), ...others, typescript: versions.typescript };
  return new Host(join(folder, name), dependencies, without);
};

/** Without its optional peer an entry fails, if at all, with what Node itself says of that peer. */
async function loadWithoutPeers(host) {
  const missing = new Map();
  for (const { entry, how, code, message } of await host.load(entries)) {
    if (!code) continue;
    const peer = optional.find((name) => message.includes(`Cannot find package '${name}' imported from`));
    hold(code === 'ERR_MODULE_NOT_FOUND' && peer, `${how} of ${entry} fails without the optional peers: ${message}`);
    missing.set(entry, peer);
  }
  for (const entry of ['.', './admin', './webhook', './testing', './flood'])
    hold(!missing.has(entry), `${entry} needs ${missing.get(entry)}`);
  return [...missing].map(([entry, peer]) => `${entry} needs ${peer}`).join(', ');
}

async function loadWithPeers(host) {
  for (const { entry, how, message } of await host.load(entries)) hold(!message, `${how} of ${entry}: ${message}`);
}

const folder = mkdtempSync(join(tmpdir(), 'nestjs-feed-package-'));
try {
  const { file, packedBytes, unpackedBytes } = await pack(root, folder);
  const hint = 'more than test/package/limits.json has; if that is meant, write it there';
  hold(packedBytes <= limits.packedBytes, `packed, it has ${packedBytes} bytes, ${hint}`);
  hold(unpackedBytes <= limits.unpackedBytes, `unpacked, it has ${unpackedBytes} bytes, ${hint}`);
  await lint(root, file);
  tell(`packed, in good order: ${packedBytes} bytes, unpacked ${unpackedBytes}`);

  hold(readme, 'README.md has no module in ten lines');
  hold(jest, 'docs/embedding.md does not have the line for Jest');
  const added = patch.match(/^\+(?!\+\+ )./gm).length;
  hold(added < 10, `the existing application needs ${added} lines`);

  const hosts = {
    // TypeScript 5 still has what many a configuration of that time says: `module: commonjs` and nothing else.
    11: host('nest-11', file, { nest: '^11.0.0', typescript: '~5.9.0' }),
    12: host('nest-12', file, { nest: '^12.0.0', typescript: manifest.devDependencies.typescript }, ['node10']),
  };
  for (const [major, host] of Object.entries(hosts)) {
    const name = `Nest ${major}`;
    const application = new NewApplication(join(folder, `new-${major}`), major, file, JSON.parse(`{${jest}}`));
    await application.install();
    tell(`${name}: the specs of a new application with the usual middleware, on both platforms: ${(await application.test()).join(', ')}`);
    const rangeOf = (peer) => (peer.startsWith('@nestjs/') ? `^${major}.0.0` : (older[major][peer] ?? manifest.peerDependencies[peer]));
    const peers = optional.map((peer) => `${peer}@${rangeOf(peer)}`);
    if (major === '12') {
      await host.install();
      tell(`${name}: installed without optional peers: ${await loadWithoutPeers(host)}`);
    }
    await host.install(...peers);
    const rest = unreached(host.package);
    hold(rest.length === 0, `no entry leads to ${rest.join(', ')}`);
    const dependencies = host.dependencies();
    hold(dependencies.join() === limits.dependencies.join(), `it brings ${dependencies.join(', ')}, ${hint}`);
    await loadWithPeers(host);
    tell(`${name}: installed with ${peers.join(', ')}; brings ${dependencies.join(', ')}; every entry loads, imported and required`);

    await host.compile(readme);
    tell(`${name}: compiled`);

    for (const format of ['esm', 'cjs']) {
      const serve = (app, platform, question) =>
        serving(process.execPath, ['dist/serve.js', `./${app}/app.module.js`, platform], { cwd: join(host.folder, format) }, question);
      await Promise.all(platforms.map((platform) => serve('feeds', platform, ask.feeds)));
      await Promise.all([serve('readme', 'express', ask.readme), serve('existing', 'fastify', ask.existing)]);
      await serve('feeds', 'fastify', ask.flood(join(host.folder, 'node_modules/.bin/nestjs-feed')));
      tell(
        `${name}: ${format} streams on ${platforms.join(' and ')}, as do the README's module and ${added} lines in an existing application`,
      );
    }
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
