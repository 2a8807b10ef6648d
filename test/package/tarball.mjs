// The tarball that npm would publish, and what may be in it.
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { run } from './run.mjs';

/** Builds, where that is due, and packs. */
export async function pack(root, folder) {
  await run(process.execPath, ['tools/ready.mjs', 'build'], { cwd: root });
  const [packed] = Object.values(JSON.parse(await run('npm', ['pack', '--json', '--pack-destination', folder], { cwd: root })));
  return { file: join(folder, packed.filename), packedBytes: packed.size, unpackedBytes: packed.unpackedSize };
}

/** What two tools for that find wrong with it. */
export async function lint(root, file) {
  const tool = (name, ...args) => run(process.execPath, [join(root, 'node_modules', ...name), ...args], { cwd: root });
  await tool(['publint', 'src', 'cli.js'], file, '--strict');
  // It is an ES module for `require()` too, which Node has from 20.19 on: what this rule warns of is meant.
  await tool(['@arethetypeswrong', 'cli', 'dist', 'index.js'], file, '--profile', 'strict', '--ignore-rules', 'cjs-resolves-to-esm');
}

const specifier = /(?:from|import)\s*\(?\s*['"](\.[^'"]+)['"]/g;

/** What is in the installed package although none of its entries leads there, and nobody is meant to read it. */
export function unreached(folder) {
  const { exports, bin } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  const left = Object.values(exports).flatMap((entry) => (typeof entry === 'string' ? [entry] : Object.values(entry)));
  left.push(...Object.values(bin), 'README.md', 'LICENSE', 'CHANGELOG.md');
  left.push(...readdirSync(join(folder, 'docs')).flatMap((name) => (name.endsWith('.md') ? [join('docs', name)] : [])));
  const reached = new Set();
  for (let path = left.pop(); path; path = left.pop()) {
    const name = join(path);
    if (reached.has(name)) continue;
    reached.add(name);
    if (!/\.(js|d\.ts)$/.test(name)) continue;
    const stem = name.replace(/\.(js|d\.ts)$/, '');
    left.push(`${stem}.js`, `${stem}.d.ts`);
    for (const [, to] of readFileSync(join(folder, name), 'utf8').matchAll(specifier)) left.push(join(dirname(name), to));
  }
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)))
    .filter((name) => !reached.has(name));
}
