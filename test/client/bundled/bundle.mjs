// Bundles an application in a folder for browsers: node bundle.mjs BUNDLER FOLDER APP. Prints the paths of all modules in it, in JSON.
// (Vite's bundler refuses what comes from Jest's realm.)
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';

const [bundler, folder, app] = process.argv.slice(2);
const entry = join(folder, `${app}.js`);
const to = join(folder, bundler, app);

const bundlers = {
  async esbuild() {
    const { build } = await import('esbuild');
    const { metafile } = await build({
      ...{ entryPoints: [entry], outdir: to, absWorkingDir: folder, logLevel: 'error', metafile: true, preserveSymlinks: true },
      ...{ bundle: true, minify: true, splitting: true, format: 'esm', platform: 'browser', target: 'es2022' },
      define: { 'process.env.NODE_ENV': '"production"' },
    });
    return Object.keys(metafile.inputs).map((path) => resolve(folder, path));
  },

  async webpack() {
    const { default: webpack } = await import('webpack');
    const compiler = webpack({
      ...{ mode: 'production', target: ['web', 'es2022'], context: folder, entry: { [app]: entry } },
      ...{ experiments: { outputModule: true }, resolve: { symlinks: false }, performance: false },
      output: { path: to, module: true, filename: '[name].js', chunkFormat: 'module' },
    });
    const stats = await promisify(compiler.run.bind(compiler))();
    const { errors, warnings, modules } = stats.toJson({ all: false, errors: true, warnings: true, modules: true, nestedModules: true });
    if (errors.length + warnings.length > 0) throw new Error(JSON.stringify([...errors, ...warnings]));
    const all = modules.flatMap((one) => [one, ...(one.modules ?? [])]);
    return all.flatMap(({ nameForCondition }) => nameForCondition ?? []);
  },

  async vite() {
    const { build } = await import('vite');
    const { output } = await build({
      ...{ root: folder, configFile: false, logLevel: 'error', resolve: { preserveSymlinks: true } },
      build: {
        ...{ outDir: to, target: 'es2022', modulePreload: false },
        rollupOptions: { input: entry, output: { entryFileNames: '[name].js' } },
      },
    });
    return output.flatMap(({ moduleIds = [] }) => moduleIds.filter((id) => id.startsWith('/')));
  },
};

console.log(JSON.stringify([...new Set(await bundlers[bundler]())]));
