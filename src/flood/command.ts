import { closeSync, openSync, writeFileSync } from 'node:fs';
import { clearLine, cursorTo } from 'node:readline';
import { parseArgs } from 'node:util';
import { loadECharts } from './echarts.js';
import { FloodOptionsError } from './errors.js';
import { flood } from './flood.js';
import type { FloodOptions } from './options.js';
import { drawPage } from './page.js';
import { drawPicture } from './picture.js';
import { reportTable, sampleLine } from './print.js';
import type { FloodReport } from './report.js';

const usage = `Usage: nestjs-feed flood <url-prefix> [options]

Opens connections to <url-prefix>1, <url-prefix>2, …, holds them, and checks the sequence of chunks on every one. With --publish it
also posts messages to the same addresses, and checks that every follower gets each once and in order, and how soon.

  -c, --connections N   how many connections to hold          (1000)
  -r, --rate N          connections opened a second           (1000)
  -d, --duration S      seconds to hold all of them           (10)
      --sources N|A,B   source addresses to connect from: a number of loopback addresses, or a list;
                        one address has some 28,000 ports     (the system's choice)
      --format F        text, sse or ndjson                   (none stated)
      --timeout S       seconds to wait for a first byte      (30)
      --feeds N         ids to spread the connections over: 1 has all of them on one feed
                                                              (as many as connections)
      --token TOKEN     bearer token of the connections       (none)
      --publish N       messages posted a second, to random ones of these ids, once all connections are open; those
                        with an answer still to come are passed over
                                                              (none)
      --key KEY         bearer token for publishing           (the environment's FEED_PUBLISH_KEY)
      --message-bytes N bytes that each message is made up to (no more than it says)
      --pid PID         sample this server process's memory and CPU time from /proc
      --json FILE       write the report to a file as well, as JSON
      --report FILE     draw the flood over time, as a page (.html) or a picture (.svg): connections and, with --pid, the
                        server's memory and the CPU use of each of its threads; needs the package echarts
  -h, --help            show this

Exit code: 0 when all connections opened, stayed open and got every chunk and every published message once and in order; 1 when
not, or when publishing failed; 2 when it could not start.
`;

/** What the command was asked for. */
interface Request {
  options: FloodOptions;
  jsonFile: string | undefined;
  reportFile: string | undefined;
}

/**
 * The command: `nestjs-feed flood`.
 *
 * @returns the exit code
 */
export async function floodCommand(args: string[]): Promise<number> {
  let request: Request;
  try {
    const parsed = parse(args);
    if (!parsed) {
      process.stdout.write(usage);
      return 0;
    }
    request = parsed;
    await checkFiles(request);
  } catch (error) {
    return cannotStart(error);
  }

  const abort = new AbortController();
  process.once('SIGINT', () => abort.abort());
  process.once('SIGTERM', () => abort.abort());
  const { stdout } = process;
  try {
    const report = await flood(request.options, {
      signal: abort.signal,
      onSample(sample, resolved) {
        const line = sampleLine(sample, resolved, stdout.isTTY);
        if (!stdout.isTTY) {
          stdout.write(`${line}\n`);
          return;
        }
        cursorTo(stdout, 0);
        stdout.write(line.slice(0, stdout.columns - 1));
        clearLine(stdout, 1);
      },
    });
    stdout.write(`\n${reportTable(report)}\n`);
    await writeFiles(request, report);
    return report.ok ? 0 : 1;
  } catch (error) {
    return cannotStart(error);
  }
}

/** Finds out before the flood what would keep its report from being written after it. */
async function checkFiles({ jsonFile, reportFile }: Request): Promise<void> {
  if (reportFile !== undefined) {
    if (!/\.(html|svg)$/i.test(reportFile)) throw new FloodOptionsError(`report must end in .html or .svg, not "${reportFile}"`, 'report');
    await loadECharts();
  }
  // Opened to append: what an earlier flood has written stays until there is something to put in its place.
  for (const file of [jsonFile, reportFile]) if (file !== undefined) closeSync(openSync(file, 'a'));
}

async function writeFiles({ jsonFile, reportFile }: Request, report: FloodReport): Promise<void> {
  if (jsonFile !== undefined) writeFileSync(jsonFile, `${JSON.stringify(report, null, 2)}\n`);
  if (reportFile === undefined) return;
  writeFileSync(reportFile, /\.svg$/i.test(reportFile) ? await drawPicture(report) : await drawPage(report));
}

function parse(args: string[]): Request | undefined {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      connections: { type: 'string', short: 'c' },
      rate: { type: 'string', short: 'r' },
      duration: { type: 'string', short: 'd' },
      sources: { type: 'string' },
      format: { type: 'string' },
      timeout: { type: 'string' },
      feeds: { type: 'string' },
      token: { type: 'string' },
      publish: { type: 'string' },
      key: { type: 'string' },
      'message-bytes': { type: 'string' },
      pid: { type: 'string' },
      json: { type: 'string' },
      report: { type: 'string' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.help) return undefined;
  const [url, ...more] = positionals;
  if (url === undefined) throw new FloodOptionsError('name the URL to open, such as http://127.0.0.1:8080/test/', 'url');
  if (more.length > 0) throw new FloodOptionsError(`one URL is enough: ${more.join(' ')} is too much`, 'url');
  return {
    options: {
      url,
      connections: toNumber(values.connections),
      rate: toNumber(values.rate),
      duration: toNumber(values.duration),
      sources: values.sources !== undefined && /[.:]/.test(values.sources) ? values.sources.split(',') : toNumber(values.sources),
      format: values.format as FloodOptions['format'],
      timeout: toNumber(values.timeout),
      feeds: toNumber(values.feeds),
      token: values.token,
      publish: toNumber(values.publish),
      key: values.key ?? (process.env.FEED_PUBLISH_KEY || undefined),
      messageBytes: toNumber(values['message-bytes']),
      pid: toNumber(values.pid),
    },
    jsonFile: values.json,
    reportFile: values.report,
  };
}

/** A number, or what was given instead of one, which the options' own check then tells. */
function toNumber(value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  return value.trim() !== '' && Number.isFinite(Number(value)) ? Number(value) : (value as unknown as number);
}

function cannotStart(error: unknown): number {
  const { code, message } = error as NodeJS.ErrnoException;
  const isPlain = error instanceof FloodOptionsError || code?.startsWith('ERR_PARSE_ARGS') || code?.startsWith('E');
  process.stderr.write(`flood: ${isPlain ? message : (error as Error).stack}\n`);
  return 2;
}
