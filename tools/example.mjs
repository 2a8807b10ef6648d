// `npm run example -- progress` runs examples/progress/main.ts, against the built module, as an application would that has it installed.
import { readdirSync } from 'node:fs';
import { register } from 'node:module';
import { fileURLToPath } from 'node:url';
import { isMainThread } from 'node:worker_threads';

const options = {
  jsc: {
    target: 'es2022',
    parser: { syntax: 'typescript', decorators: true },
    transform: { legacyDecorator: true, decoratorMetadata: true },
  },
  module: { type: 'es6' },
  sourceMaps: 'inline',
};

/** Node takes types away by itself, but knows no decorators: so this file is its hook for TypeScript, too. */
export async function load(url, context, next) {
  if (!url.endsWith('.ts')) return next(url, context);
  const { transformFile } = await import('@swc/core');
  const { code } = await transformFile(fileURLToPath(url), options);
  return { format: 'module', source: code, shortCircuit: true };
}

if (isMainThread) {
  const folder = new URL('../examples/', import.meta.url);
  const names = readdirSync(folder, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? [entry.name] : []));
  const [name] = process.argv.slice(2);
  if (names.includes(name)) {
    register(import.meta.url);
    await import(new URL(`${name}/main.ts`, folder).href);
  } else {
    console.error(`npm run example -- ${names.join(' | ')}`);
    process.exitCode = 1;
  }
}
