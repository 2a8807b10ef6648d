// A fresh folder that the package is installed into, and the applications in it.
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { outcome, run } from './run.mjs';

const apps = join(import.meta.dirname, 'apps');

/**
 * By an application's module format: what TypeScript can be told there. The first of each is what is run, and that of ES modules
 * checks declarations as well: they are the same for all. */
const settings = {
  esm: {
    nodenext: { module: 'nodenext' },
    node16: { module: 'node16' },
    bundler: { module: 'esnext', moduleResolution: 'bundler' },
  },
  cjs: {
    nodenext: { module: 'nodenext' },
    // `module: node16` stands for a Node that cannot `require()` an ES module, and refuses it, as it does all of Nest 12.
    node16: { module: 'nodenext', moduleResolution: 'node16' },
    bundler: { module: 'preserve', moduleResolution: 'bundler' },
    node10: { module: 'commonjs', moduleResolution: 'node10' },
  },
};

const compilerOptions = {
  target: 'es2022',
  lib: ['es2023'],
  strict: true,
  exactOptionalPropertyTypes: true,
  noUncheckedIndexedAccess: true,
  noPropertyAccessFromIndexSignature: true,
  noImplicitOverride: true,
  noUnusedLocals: true,
  experimentalDecorators: true,
  emitDecoratorMetadata: true,
  types: ['node'],
};

const json = (path, value) => writeFileSync(path, JSON.stringify(value, null, 2));

/** What TypeScript finds wrong, other than with the declarations of other packages: not all of those bear these settings. */
async function typecheck(folder, config) {
  const { out } = await outcome(process.execPath, ['../node_modules/typescript/bin/tsc', '-p', config], { cwd: folder });
  return out.split(/\n(?=\S)/).filter((said) => said && !/^\.\.\/node_modules\/(?!nestjs-feed\/)/.test(said));
}

export class Host {
  /**
   * @param folder a new one is made there
   * @param dependencies by name, what an application has that uses the package
   * @param without TypeScript's settings that its version does not know any more
   */
  constructor(folder, dependencies, without = []) {
    this.folder = folder;
    this.without = without;
    mkdirSync(folder);
    json(join(folder, 'package.json'), { private: true, dependencies });
  }

  get package() {
    return join(this.folder, 'node_modules/nestjs-feed');
  }

  async install(...more) {
    // Peers that do not fit are an error of npm's by itself.
    await run('npm', ['install', '--ignore-scripts', '--prefer-offline', '--no-audit', '--no-fund', ...more], { cwd: this.folder });
    await run('npm', ['ls', '--all'], { cwd: this.folder });
  }

  /** The package's own dependencies with theirs, by name. */
  dependencies() {
    const { packages } = JSON.parse(readFileSync(join(this.folder, 'node_modules/.package-lock.json'), 'utf8'));
    const found = new Set();
    const add = (path) => {
      for (const name of Object.keys(packages[path].dependencies ?? {})) {
        const own = `${path}/node_modules/${name}`;
        found.add(name);
        add(own in packages ? own : `node_modules/${name}`);
      }
    };
    add('node_modules/nestjs-feed');
    return [...found].sort();
  }

  /** What comes of each entry when it is loaded, in a process of its own each: the code of the error, and its message. */
  async load(entries) {
    const outcomes = entries.flatMap((entry) =>
      ['import', 'require'].map(async (how) => {
        const code = `try { await ${how}('${join('nestjs-feed', entry)}') } catch ({ code, message }) { console.log(JSON.stringify({ code, message })) }`;
        const script =
          how === 'import'
            ? code
            : `import { createRequire } from 'node:module'; const require = createRequire(process.cwd() + '/x'); ${code}`;
        const said = await run(process.execPath, ['--input-type=module', '--eval', script], { cwd: this.folder });
        return { entry, how, ...(said && JSON.parse(said)) };
      }),
    );
    return Promise.all(outcomes);
  }

  /**
   * Compiles the applications under each of TypeScript's settings.
   *
   * @param readme the application that the README shows
   */
  async compile(readme) {
    await Promise.all(Object.keys(settings).map((format) => this.#compile(format, readme)));
  }

  async #compile(format, readme) {
    const folder = join(this.folder, format);
    cpSync(apps, folder, { recursive: true });
    mkdirSync(join(folder, 'readme'));
    writeFileSync(join(folder, 'readme/app.module.ts'), readme);
    json(join(folder, 'package.json'), { type: format === 'esm' ? 'module' : 'commonjs' });
    await run('git', ['apply', 'existing.patch'], { cwd: folder, env: { ...process.env, GIT_CEILING_DIRECTORIES: this.folder } });
    for (const [name, way] of Object.entries(settings[format])) {
      if (this.without.includes(name)) continue;
      const use =
        name === 'nodenext' ? { skipLibCheck: format === 'cjs', rootDir: '.', outDir: 'dist' } : { skipLibCheck: true, noEmit: true };
      const config = `tsconfig.${name}.json`;
      json(join(folder, config), { compilerOptions: { ...compilerOptions, ...way, ...use }, include: ['**/*.ts'], exclude: ['dist'] });
      const complaints = await typecheck(folder, config);
      if (complaints.length > 0) throw new Error(`${format}, ${name}:\n${complaints.join('\n')}`);
    }
  }
}
