import { readdir, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { extname } from 'node:path';

const { resolve } = createRequire(import.meta.url);

/** A file by its path below `dashboard/files`, and where it is. */
type File = [path: string, url: URL | string];

/** What the client has of the module: its scripts find each other as they do in the package. */
const shared = 'feed/message/feed-definition.js';

/** The files of the chart library. */
const library: Record<string, string> = { 'uplot.js': 'uplot/dist/uPlot.iife.min.js', 'uplot.css': 'uplot/dist/uPlot.min.css' };

const types: Record<string, string> = {
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
};

/** The pages of operators, by what is in the path behind `dashboard`. */
const operatorPages = { connections: 'Connections', feeds: 'Feeds', nodes: 'Nodes' };

/** The dashboard's files, read once. */
export class DashboardFiles {
  private constructor(
    private readonly texts: ReadonlyMap<string, string>,
    /** The dashboard, and the form that asks for its key. */
    readonly page = texts.get('index.html') as string,
    readonly form = texts.get('key.html') as string,
  ) {}

  /** A page for operators: what they have in common, around its own content. */
  operatorPage(name: string): string | undefined {
    const title = Object.hasOwn(operatorPages, name) && operatorPages[name as keyof typeof operatorPages];
    if (!title) return undefined;
    const [frame, content] = [this.texts.get('admin.html') as string, this.texts.get(`${name}.html`) as string];
    return frame
      .replace('<!-- title -->', title)
      .replaceAll('<!-- name -->', name)
      .replace('<!-- content -->', () => content);
  }

  static async read(): Promise<DashboardFiles> {
    const files: File[] = [
      ...(await filesIn(new URL('page/', import.meta.url))),
      ...(await filesIn(new URL('../../client/', import.meta.url), 'client/')),
      [shared, new URL(`../../${shared}`, import.meta.url)],
      ...Object.entries(library).map(([path, name]): File => [path, resolve(name)]),
    ];
    const texts = files.map(async ([path, url]): Promise<[string, string]> => [path, await readFile(url, 'utf8')]);
    return new DashboardFiles(new Map(await Promise.all(texts)));
  }

  /** A file that the page loads, and its media type. */
  get(path: string): { type: string; text: string } | undefined {
    const [type, text] = [types[extname(path)], this.texts.get(path)];
    return type === undefined || text === undefined ? undefined : { type, text };
  }
}

async function filesIn(folder: URL, path = ''): Promise<File[]> {
  return (await readdir(folder)).filter((name) => !/\.(map|ts)$/.test(name)).map((name) => [path + name, new URL(name, folder)]);
}

/**
 * A warning for the operator where the dashboard cannot be served; else undefined.
 *
 * @param feedPath the path of the feeds
 */
export function dashboardWarning(feedPath: string): string | undefined {
  if (/^dashboard(\/|$)/.test(feedPath)) return '/dashboard is not served: FEED_PATH uses the same path';
  try {
    for (const path of Object.values(library)) resolve(path);
    return undefined;
  } catch {
    return '/dashboard is not served: it needs npm install uplot';
  }
}
