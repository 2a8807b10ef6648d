import { readdir, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { extname } from 'node:path';

const { resolve } = createRequire(import.meta.url);

const folder = new URL('page/', import.meta.url);

/** The files of the chart library. */
const library: Record<string, string> = { 'uplot.js': 'uplot/dist/uPlot.iife.min.js', 'uplot.css': 'uplot/dist/uPlot.min.css' };

const types: Record<string, string> = {
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
};

/** The dashboard's files, read once. */
export class DashboardFiles {
  private constructor(
    private readonly texts: ReadonlyMap<string, string>,
    /** The dashboard, and the form that asks for its key. */
    readonly page = texts.get('index.html') as string,
    readonly form = texts.get('key.html') as string,
  ) {}

  static async read(): Promise<DashboardFiles> {
    const own = (await readdir(folder)).map((name): [string, URL | string] => [name, new URL(name, folder)]);
    const charts = Object.entries(library).map(([name, path]): [string, URL | string] => [name, resolve(path)]);
    const texts = [...own, ...charts].map(async ([name, path]): Promise<[string, string]> => [name, await readFile(path, 'utf8')]);
    return new DashboardFiles(new Map(await Promise.all(texts)));
  }

  /** A file that the page loads, and its media type. */
  get(name: string): { type: string; text: string } | undefined {
    const [type, text] = [types[extname(name)], this.texts.get(name)];
    return type === undefined || text === undefined ? undefined : { type, text };
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
    for (const path of Object.values(library)) resolve(path);
    return undefined;
  } catch {
    return '/dashboard is not served: it needs npm install uplot';
  }
}
