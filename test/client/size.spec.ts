import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';

/** What is loaded when it is needed for the first time. */
const lazy = ['publish', 'resume', 'validate', 'share', 'poll', 'catch-up'];

/** How much of a page's download `createFeedClient` is, minified and gzipped, less what is loaded later: in bytes. */
async function sizeWithout(names: readonly string[]): Promise<number> {
  const { outputFiles } = await build({
    stdin: { contents: "export { createFeedClient } from './src/client/index.ts'", resolveDir: '.' },
    ...{ bundle: true, minify: true, write: false, format: 'esm', target: 'es2022', logLevel: 'silent' },
    external: names.map((name) => `./${name}.js`),
  });
  return gzipSync((outputFiles[0] as { contents: Uint8Array }).contents, { level: 9 }).length;
}

it('is at most 5 KB, and 7 KB with sharing', async () => {
  expect(await sizeWithout(lazy)).toBeLessThanOrEqual(5 * 1024);
  expect(await sizeWithout(lazy.filter((name) => name !== 'share'))).toBeLessThanOrEqual(7 * 1024);
});
