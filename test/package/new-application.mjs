// What `nest new` makes, with the usual middleware, guards and interceptors: its specs run as they do there.
import { cpSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { outcome, run } from './run.mjs';

const template = join(import.meta.dirname, 'nest-new');

const change = (path, edit) => writeFileSync(path, edit(readFileSync(path, 'utf8')));
const changeJson = (path, edit) => change(path, (text) => JSON.stringify(edit(JSON.parse(text)), null, 2));

export class NewApplication {
  #folder;
  #major;

  /**
   * @param folder a new one is made there
   * @param major the major version of Nest: 11 comes with Jest and CommonJS, 12 with Vitest and ES modules
   * @param file the tarball
   * @param jest what the documentation has one add to Jest's configuration
   */
  constructor(folder, major, file, jest) {
    this.#folder = folder;
    this.#major = major;
    for (const part of [major, 'app']) cpSync(join(template, part), folder, { recursive: true });
    changeJson(join(folder, 'package.json'), (manifest) => {
      manifest.dependencies['nestjs-feed'] = `file:${file}`;
      if (manifest.jest) Object.assign(manifest.jest, jest);
      return manifest;
    });
    if (major !== '11') return;
    changeJson(join(folder, 'test/jest-e2e.json'), (config) => ({ ...config, ...jest }));
    // In CommonJS its files are imported without an extension, as `nest new` writes them.
    for (const name of readdirSync(folder, { recursive: true })) {
      if (name.endsWith('.ts')) change(join(folder, name), (text) => text.replace(/(from '\.[^']*)\.js'/g, "$1'"));
    }
  }

  /** Fails where npm finds a conflict. */
  async install() {
    await run('npm', ['install', '--ignore-scripts', '--prefer-offline', '--no-audit', '--no-fund'], { cwd: this.#folder });
  }

  /** Runs its unit and its e2e specs; returns the lines in which the runner sums up. */
  async test() {
    const sums = [];
    for (const script of ['test', 'test:e2e']) {
      // Jest writes to stderr, Vitest to stdout.
      const { code, out, err } = await outcome('npm', ['run', script], { cwd: this.#folder, env: { ...process.env, NO_COLOR: '1' } });
      if (code !== 0) throw new Error(`Nest ${this.#major}, npm run ${script}:\n${out}${err}`);
      sums.push(/^ *Tests:? +(.*)$/m.exec(out + err)?.[1]);
    }
    return sums;
  }
}
