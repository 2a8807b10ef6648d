import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';

const { resolve } = createRequire(import.meta.url);

const types: Record<string, string> = {
  css: 'text/css; charset=utf-8',
  html: 'text/html; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  svg: 'image/svg+xml',
};

/** The files that the page loads: its own, and those of the chart library. */
const own = ['app.js', 'charts.js', 'follow.js', 'history.js', 'icon.svg', 'live.js', 'style.css', 'table.js', 'words.js'];
const charts: Record<string, string> = { 'uplot.js': 'uplot/dist/uPlot.iife.min.js', 'uplot.css': 'uplot/dist/uPlot.min.css' };

interface ServedFile {
  /** The media type. */
  type: string;
  text: string;
}

/** The dashboard's files, read once. */
export class DashboardFiles {
  private constructor(
    /** The dashboard, and the form that asks for its key. */
    readonly page: string,
    readonly form: string,
    private readonly files: ReadonlyMap<string, ServedFile>,
  ) {}

  static async read(): Promise<DashboardFiles> {
    const fileOf = async (name: string): Promise<[string, ServedFile]> => {
      const path = charts[name] === undefined ? new URL(`page/${name}`, import.meta.url) : resolve(charts[name]);
      return [name, { type: types[name.split('.')[1] as string] as string, text: await readFile(path, 'utf8') }];
    };
    const [[, page], [, form], ...files] = await Promise.all(['index.html', 'key.html', ...own, ...Object.keys(charts)].map(fileOf));
    return new DashboardFiles((page as ServedFile).text, (form as ServedFile).text, new Map(files));
  }

  get(name: string): ServedFile | undefined {
    return this.files.get(name);
  }
}

/**
 * A warning for the operator where the dashboard cannot be served; else undefined.
 *
 * @param feedPath the path of the feeds
 */
export function dashboardWarning(feedPath: string): string | undefined {
  if (/^\/?dashboard(\/|$)/.test(feedPath)) return '/dashboard is not served: FEED_PATH uses the same path';
  try {
    for (const path of Object.values(charts)) resolve(path);
    return undefined;
  } catch {
    return '/dashboard is not served: it needs npm install uplot';
  }
}
