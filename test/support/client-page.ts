import { build } from 'esbuild';

/** Bundles code that imports the client by `nestjs-feed/client`, as an application does, for a page. */
export async function bundle(code: string): Promise<string> {
  const { outputFiles } = await build({
    stdin: { contents: code, resolveDir: process.cwd(), loader: 'ts' },
    alias: { 'nestjs-feed/client': './src/client/index.ts' },
    ...{ bundle: true, format: 'esm', target: 'es2022', write: false, logLevel: 'silent' },
  });
  return outputFiles[0]?.text ?? '';
}
