import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';

const { resolve } = createRequire(import.meta.url);

const types: Record<string, string> = {
  css: 'text/css; charset=utf-8',
  html: 'text/html; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  svg: 'image/svg+xml',
};

/** The page's own files, and those of the chart library. */
const own = ['app.js', 'charts.js', 'follow.js', 'history.js', 'icon.svg', 'live.js', 'style.css', 'table.js', 'words.js'];
const charts: Record<string, string> = { 'uplot.js': 'uplot/dist/uPlot.iife.min.js', 'uplot.css': 'uplot/dist/uPlot.min.css' };

/** A file as it is served. */
export interface ServedFile {
  type: string;
  text: string;
}

/** What the page is made of, read once. */
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
 * Why there can be no dashboard, in a line for whoever starts the service; undefined where there can.
 *
 * @param feedPath where the feeds are
 */
export function whyNoDashboard(feedPath: string): string | undefined {
  if (/^\/?dashboard(\/|$)/.test(feedPath)) return '/dashboard is not served: FEED_PATH has the feeds there';
  try {
    for (const path of Object.values(charts)) resolve(path);
    return undefined;
  } catch {
    return '/dashboard is not served: it needs npm install uplot';
  }
}
