import { execFile, execFileSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative, resolve } from 'node:path';
import { promisify } from 'node:util';
import { Controller, Get, Header, Param } from '@nestjs/common';
import { resolve as metro, type ResolutionContext } from 'metro-resolver';
import { chromium } from 'playwright-core';
import { chromiumArgs, missing } from '../../tools/engines.mjs';
import { pack } from '../package/tarball.mjs';
import { closeAll, type Served, serveFeeds } from '../support/serve.js';

/** An application into which the package is installed as npm would publish it, with React, and nothing else. */
const folder = realpathSync(mkdtempSync(join(tmpdir(), 'nestjs-feed-bundlers-')));
const installed = join(folder, 'node_modules/nestjs-feed');
const apps = ['client', 'react'] as const;

const bundlers = ['esbuild', 'webpack', 'vite'] as const;
const run = promisify(execFile);

@Controller('bundles')
class BundlesController {
  @Get(':bundler')
  @Header('Content-Type', 'text/html')
  page(@Param('bundler') bundler: string) {
    return `<!doctype html><title>t</title><div id="root"></div><script type="module" src="/bundles/${bundler}/react.js"></script>`;
  }

  @Get(':bundler/*path')
  @Header('Content-Type', 'text/javascript')
  file(@Param('bundler') bundler: string, @Param('path') path: string | string[]) {
    return readFileSync(join(folder, bundler, 'react', ...[path].flat()), 'utf8');
  }
}

const outputs = (bundler: string, app: string) => {
  const root = join(folder, bundler, app);
  const names = readdirSync(root, { recursive: true }) as string[];
  return names.filter((name) => name.endsWith('.js')).map((name) => readFileSync(join(root, name), 'utf8'));
};

/** Nothing but the client, the hooks, and what they need. */
function expectOwn(paths: readonly string[]): void {
  const names = paths.map((path) => relative(folder, path));
  expect(names.filter((name) => name.startsWith('node_modules/nestjs-feed/dist/client/')).length).toBeGreaterThan(10);
  const allowed =
    /^\w+\.js$|^node_modules\/(nestjs-feed\/dist\/(client\/|react\/|feed\/message\/feed-definition\.js)|(react|react-dom|scheduler)\/)/;
  expect(names.filter((name) => !allowed.test(name))).toEqual([]);
}

let served: Served;

beforeAll(async () => {
  const { file } = await pack(resolve('.'), folder);
  mkdirSync(installed, { recursive: true });
  execFileSync('tar', ['-xzf', file, '-C', installed, '--strip-components=1']);
  for (const name of ['react', 'react-dom', 'scheduler']) symlinkSync(resolve('node_modules', name), join(folder, 'node_modules', name));
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ type: 'module' }));
  for (const app of apps) cpSync(`test/client/bundled/${app}.js`, join(folder, `${app}.js`));
  served = await serveFeeds('express', {}, { controllers: [BundlesController] });
  await served.feeds.publish('a', 'It works.');
});
afterAll(async () => {
  await closeAll();
  rmSync(folder, { recursive: true, force: true });
});

describe.each(bundlers)('%s', (bundler) => {
  it.each(apps)('bundles the application %s, with nothing of the server', async (app) => {
    const { stdout } = await run(process.execPath, ['test/client/bundled/bundle.mjs', bundler, folder, app]);
    expectOwn(JSON.parse(stdout));
    for (const text of outputs(bundler, app)) expect(text).not.toMatch(/@nestjs\/|["'`]node:|reflect-metadata|\bjose\b/);
  });

  it('makes a client that works', async () => {
    const { stdout } = await run(process.execPath, [join(folder, bundler, 'client/client.js'), `${served.url}/feeds`]);
    expect(stdout).toBe('It works.\n1\n');
  });

  (missing().includes('chromium') ? it.skip : it)('makes a page with hooks that work', async () => {
    const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: chromiumArgs });
    try {
      const page = await browser.newPage();
      await page.goto(`${served.url}/bundles/${bundler}`);
      await page.getByText('It works.').waitFor();
    } finally {
      await browser.close();
    }
  });
});

describe("Metro's resolver", () => {
  const fileSystemLookup = (path: string) => {
    const stat = statSync(path, { throwIfNoEntry: false });
    return stat
      ? { exists: true as const, type: stat.isDirectory() ? ('d' as const) : ('f' as const), realPath: path }
      : { exists: false as const };
  };
  const getPackage = (path: string) => (existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : null);
  const contextOf = (originModulePath: string, unstable_enablePackageExports: boolean): ResolutionContext => ({
    ...{ originModulePath, unstable_enablePackageExports, fileSystemLookup, getPackage, isESMImport: true, dev: false, allowHaste: false },
    ...{ assetExts: new Set<string>(), sourceExts: ['js', 'json', 'ts', 'tsx'], mainFields: ['react-native', 'browser', 'main'] },
    ...{
      nodeModulesPaths: [],
      extraNodeModules: null,
      disableHierarchicalLookup: false,
      preferNativePlatform: true,
      customResolverOptions: {},
    },
    ...{ unstable_conditionNames: ['react-native'], unstable_conditionsByPlatform: {}, unstable_incrementalResolution: false },
    doesFileExist: (path) => fileSystemLookup(path).exists,
    getPackageForModule(path) {
      for (let at = dirname(path); at.startsWith(folder); at = dirname(at)) {
        const packageJson = getPackage(join(at, 'package.json'));
        if (packageJson) return { packageJson, rootPath: at, packageRelativePath: relative(at, path) };
      }
      return null;
    },
    ...{ resolveAsset: () => null, redirectModulePath: (path) => path, resolveHasteModule: () => null, resolveHastePackage: () => null },
    unstable_logWarning(message) {
      throw new Error(message);
    },
  });
  const pathOf = (from: string, name: string, hasExports = true): string => {
    const resolution = metro(contextOf(from, hasExports), name, 'ios');
    return resolution.type === 'sourceFile' ? resolution.filePath : resolution.type;
  };
  const origin = join(folder, 'client.js');

  it.each(apps)('finds nestjs-feed/%s and all that it imports, in the package alone', (app) => {
    const reached = new Set<string>();
    const left = [pathOf(origin, `nestjs-feed/${app}`)];
    expect(left).toEqual([join(installed, `dist/${app}/index.js`)]);
    for (let path = left.pop(); path; path = left.pop()) {
      if (reached.has(path) || !path.startsWith(installed)) continue;
      reached.add(path);
      const imports = readFileSync(path, 'utf8').matchAll(/(?:from|import)\s*\(?\s*['"]([^'"]+)['"]/g);
      for (const [, name] of imports) left.push(pathOf(path, name as string));
    }
    expectOwn([...reached]);
  });

  it('finds the main file, and the files of the client by their paths, where it does not read exports', () => {
    expect(pathOf(origin, 'nestjs-feed', false)).toBe(join(installed, 'dist/index.js'));
    for (const app of apps) expect(pathOf(origin, `nestjs-feed/dist/${app}/index.js`, false)).toBe(join(installed, `dist/${app}/index.js`));
  });
});
