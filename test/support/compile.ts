import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import ts from 'typescript';
import type { Block } from './markdown.js';

const root = resolve('.');

/** What a fragment may do: use names that are declared elsewhere. */
const undeclared = new Set([2304, 2503, 2552, 18004]);

/** The entries of the package, each with its source. */
function entries(): Record<string, string[]> {
  const { name, exports } = JSON.parse(readFileSync('package.json', 'utf8')) as {
    name: string;
    exports: Record<string, { types?: string }>;
  };
  return Object.fromEntries(
    Object.entries(exports).flatMap(([entry, { types }]) =>
      types ? [[join(name, entry), [join(root, types.replace('/dist/', '/src/').replace('.d.ts', '.ts'))]]] : [],
    ),
  );
}

function tell({ file, start, messageText }: ts.Diagnostic): string {
  const line = file && start !== undefined ? file.getLineAndCharacterOfPosition(start).line + 1 : 0;
  return `line ${line}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`;
}

/** Type-checks blocks of TypeScript beside the sources of the package: what is wrong with each, by its place. */
export function compile(blocks: readonly Block[]): Map<string, string[]> {
  const { config } = ts.readConfigFile('tsconfig.json', ts.sys.readFile);
  const { options } = ts.parseJsonConfigFileContent({ ...config, files: [], include: [] }, ts.sys, root);
  Object.assign(options, { noEmit: true, noUnusedLocals: false, noUnusedParameters: false });
  Object.assign(options, { moduleDetection: ts.ModuleDetectionKind.Force, jsx: ts.JsxEmit.ReactJSX });
  options.paths = entries();
  const files = new Map(blocks.map((block) => [join(root, 'test', `${block.place.replaceAll(/[/:]/g, '-')}.${block.language}`), block]));
  const host = ts.createCompilerHost(options);
  const { fileExists, readFile } = host;
  host.fileExists = (name) => files.has(name) || fileExists(name);
  host.readFile = (name) => files.get(name)?.text ?? readFile(name);
  const program = ts.createProgram([...files.keys()], options, host);
  return new Map(
    Array.from(files, ([name, { place, isFragment }]) => {
      const faults = ts.getPreEmitDiagnostics(program, program.getSourceFile(name));
      return [place, faults.filter(({ code }) => !isFragment || !undeclared.has(code)).map(tell)];
    }),
  );
}

/** What keeps a block of JavaScript from being parsed. */
export function parse(text: string): string[] {
  const { diagnostics = [] } = ts.transpileModule(text, {
    fileName: 'block.js',
    reportDiagnostics: true,
    compilerOptions: { allowJs: true },
  });
  return diagnostics.map(tell);
}

/** What keeps a block of JSON with comments from being parsed. */
export function parseJsonc(text: string): string[] {
  const { error } = ts.parseConfigFileTextToJson('block.jsonc', text);
  return error ? [tell(error)] : [];
}
