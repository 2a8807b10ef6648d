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

Opens connections to <url-prefix>1, <url-prefix>2, …, holds them, and checks the sequence of chunks on each. With --publish it also
posts messages to these URLs, and checks that each follower gets each message once and in order, and how fast.

  -c, --connections N   number of connections                 (1000)
  -r, --rate N          connections opened per second         (1000)
  -d, --duration S      seconds to hold all of them           (10)
      --sources N|A,B   source addresses: a number of loopback addresses, or a list; each address has some 28,000 ports
                                                              (the system's choice)
      --format F        text, sse or ndjson                   (the server's choice)
      --timeout S       seconds to wait for a first byte      (30)
      --feeds N         number of ids that the connections are spread over; with 1, all follow one feed
                                                              (the number of connections)
      --token TOKEN     bearer token of the connections       (none)
      --publish N       messages posted per second, each to a random one of these ids, once all connections are open; an id
                        with a pending post is skipped        (none)
      --key KEY         bearer token for publishing           (the environment's FEED_PUBLISH_KEY)
      --message-bytes N size that messages are padded to      (no padding)
      --pid PID         sample the memory and CPU time of this server process from /proc
      --json FILE       write the report as JSON
      --report FILE     draw the flood over time, as a page (.html) or a picture (.svg): connections and, with --pid, the
                        memory of the server and the CPU use of each of its threads; needs the package echarts
  -h, --help            show this help

Exit code: 0 if all connections opened, stayed open and got every chunk and every message once and in order; 1 if not, or if
publishing failed; 2 if the flood could not start.
`;

/** The parsed command line. */
interface Command {
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
  let command: Command;
  try {
    const parsed = parse(args);
    if (!parsed) {
      process.stdout.write(usage);
      return 0;
    }
    command = parsed;
    await checkFiles(command);
  } catch (error) {
    return cannotStart(error);
  }

  const abort = new AbortController();
  process.once('SIGINT', () => abort.abort());
  process.once('SIGTERM', () => abort.abort());
  const { stdout } = process;
  try {
    const report = await flood(command.options, {
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
    await writeFiles(command, report);
    return report.ok ? 0 : 1;
  } catch (error) {
    return cannotStart(error);
  }
}

/** Checks before the flood that its report can be written after it. */
async function checkFiles({ jsonFile, reportFile }: Command): Promise<void> {
  if (reportFile !== undefined) {
    if (!/\.(html|svg)$/i.test(reportFile)) throw new FloodOptionsError(`report must end in .html or .svg, not "${reportFile}"`, 'report');
    await loadECharts();
  }
  // Opened for appending, so that an earlier report stays until it is replaced.
  for (const file of [jsonFile, reportFile]) if (file !== undefined) closeSync(openSync(file, 'a'));
}

async function writeFiles({ jsonFile, reportFile }: Command, report: FloodReport): Promise<void> {
  if (jsonFile !== undefined) writeFileSync(jsonFile, `${JSON.stringify(report, null, 2)}\n`);
  if (reportFile === undefined) return;
  writeFileSync(reportFile, /\.svg$/i.test(reportFile) ? await drawPicture(report) : await drawPage(report));
}

function parse(args: string[]): Command | undefined {
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
  if (url === undefined) throw new FloodOptionsError('a URL is missing, such as http://127.0.0.1:8080/test/', 'url');
  if (more.length > 0) throw new FloodOptionsError(`there must be one URL: remove ${more.join(' ')}`, 'url');
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

/** Converts to a number; a value that is none is left to the check of the options. */
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
