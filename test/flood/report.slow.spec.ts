import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { drawPage, drawPicture, type FloodReport, type FloodSample, flood } from '../../src/flood/index.js';
import { temporaryFolder } from '../support/ends.js';
import { folderWithout } from '../support/without.js';

/** A server in a process of its own, which keeps its main thread and threads of its pool busy. */
const serverScript = `
  const { createServer } = require('node:http');
  const { pbkdf2 } = require('node:crypto');
  const server = createServer((request, response) => {
    let n = 0;
    const tell = () => response.write('Chunk ' + ++n + ' for id ' + request.url + '\\n');
    tell();
    response.on('close', clearInterval.bind(undefined, setInterval(tell, 50)));
  });
  setInterval(() => pbkdf2('a', 'b', 20000, 64, 'sha512', () => {}), 50);
  setInterval(() => { for (const end = performance.now() + 10; performance.now() < end; ); }, 50);
  server.listen(0, '127.0.0.1', () => console.log(server.address().port));
`;

/** Whether the text is a tree of elements with proper attributes, as XML wants it. Enough for what a program has written. */
function isWellFormed(xml: string): boolean {
  const open: string[] = [];
  const rest = xml.replace(/<!\[CDATA\[[\s\S]*?\]\]>|<\?[\s\S]*?\?>|<!--[\s\S]*?-->/g, '');
  const tag = /<(\/?)([A-Za-z][\w:.-]*)((?:\s+[\w:.-]+="[^"<]*")*)\s*(\/?)>/g;
  for (const [, closes, name, , isEmpty] of rest.matchAll(tag)) {
    if (closes) {
      if (open.pop() !== name) return false;
    } else if (!isEmpty) open.push(name as string);
  }
  const text = rest.replace(tag, '');
  return open.length === 0 && !/[<>]/.test(text) && !/&(?!(amp|lt|gt|quot|apos|#\d+);)/.test(text);
}

const textsOf = (svg: string) => [...svg.matchAll(/<text[^>]*>([^<]*)<\/text>/g)].map(([, text]) => text);

function expectPicture(svg: string): void {
  expect(svg).toMatch(/^<svg [^>]*viewBox="0 0 \d+ \d+"/);
  expect(isWellFormed(svg)).toBe(true);
  expect(svg).not.toMatch(/NaN|undefined|Infinity/);
  expect(svg).toMatch(/stroke-dasharray/);
  expect(textsOf(svg)).toEqual(expect.arrayContaining(['connections started', 'connections open', 'seconds (logarithmic)']));
}

function sample(at: number, more: Partial<FloodSample> = {}): FloodSample {
  return { at, begun: 10, open: 10, failed: 0, endedEarly: 0, chunks: 0, ...more };
}

describe("the flood command's report", () => {
  let folder: string;
  let server: ChildProcess;
  let url: string;

  beforeAll(async () => {
    server = spawn(process.execPath, ['-e', serverScript], { stdio: ['ignore', 'pipe', 'inherit'] });
    const [port] = await once(server.stdout as NodeJS.ReadableStream, 'data');
    url = `http://127.0.0.1:${Number(port)}/`;
  });

  afterAll(async () => {
    server.kill();
    await once(server, 'exit');
  });
  beforeEach(async () => {
    folder = await temporaryFolder();
  });

  const run = (args: string[], command = 'dist/flood/cli.js') =>
    spawnSync(process.execPath, [command, 'flood', url, '--connections', '20', '--duration', '2.6', ...args], { encoding: 'utf8' });

  it('draws threads, memory and connections of a server', () => {
    const [svgFile, jsonFile] = [join(folder, 'a.svg'), join(folder, 'a.json')];
    const { status, stderr } = run(['--pid', String(server.pid), '--report', svgFile, '--json', jsonFile]);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    const { samples, startedAt } = JSON.parse(readFileSync(jsonFile, 'utf8')) as FloodReport;
    expect(Date.parse(startedAt)).toBeLessThan(Date.now());
    expect(samples[0]).toMatchObject({ begun: 0, at: expect.closeTo(0, 1) });
    expect(samples.length).toBeGreaterThanOrEqual(4);
    const { threads = {}, cpuSeconds } = samples.at(-1) as FloodSample;
    // Node 24 names its threads, and calls the first one MainThread
    expect(Object.keys(threads).map((name) => name.split(' ')[0])).toContain(`${server.pid}`);
    const sum = Object.values(threads).reduce((total, seconds) => total + seconds, 0);
    expect(Math.abs(sum - (cpuSeconds as number))).toBeLessThan(0.5);

    const svg = readFileSync(svgFile, 'utf8');
    expectPicture(svg);
    expect(textsOf(svg)).toEqual(expect.arrayContaining(['resident memory', 'CPU, % of one core', 'memory, MB']));
    expect(textsOf(svg)).toContainEqual(expect.stringMatching(/^(node|MainThread) \(main\)$/));
    expect(textsOf(svg)).toContainEqual(expect.stringMatching(/^(\S+ \d+|\d+ others?)$/));
  });

  it('makes a page of it, without --pid one of the connections alone', () => {
    const file = join(folder, 'a.html');
    expect(run(['--report', file]).status).toBe(0);
    const page = readFileSync(file, 'utf8');
    expect(page).toContain('<meta name="viewport"');
    expect(page).toContain('<th scope="row">connections</th><td>20 of 20 opened</td>');
    const pictures = page.match(/<svg[\s\S]*?<\/svg>/g) ?? [];
    expect(pictures).toHaveLength(2);
    for (const svg of pictures) {
      expectPicture(svg);
      expect(svg).not.toMatch(/memory|CPU/);
    }
  });

  it.each([
    [['--report', 'report.png'], /^flood: report must end in \.html or \.svg, not "report\.png"\n$/],
    [['--report', '/no/such/folder/x.svg'], /^flood: ENOENT.*\n$/],
  ])('refuses %j before the flood', (args, message) => {
    const { status, stdout, stderr } = run(args);
    expect(stderr).toMatch(message);
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
  });

  it('leaves an earlier report where a flood cannot start', () => {
    const file = join(folder, 'earlier.svg');
    writeFileSync(file, 'earlier');
    expect(run(['--rate', '0', '--report', file]).status).toBe(2);
    expect(readFileSync(file, 'utf8')).toBe('earlier');
  });

  it('says what is missing where echarts is not installed', async () => {
    const bare = await folderWithout('echarts');
    const file = join(folder, 'never.svg');
    const { status, stdout, stderr } = run(['--report', file], join(bare, 'dist/flood/cli.js'));
    expect(stderr).toBe('flood: --report needs the package echarts: npm install echarts\n');
    expect({ status, stdout, exists: existsSync(file) }).toEqual({ status: 2, stdout: '', exists: false });
    rmSync(bare, { recursive: true });
  });
});

describe('drawPicture', () => {
  const { pid } = process;
  let report: FloodReport;
  const reportOf = (samples: FloodSample[]): FloodReport => ({ ...report, samples });

  beforeAll(async () => {
    report = await flood({ url: 'http://127.0.0.1:1/', connections: 10, duration: 0, pid });
  });

  it('escapes what others have named', async () => {
    const samples = [0, 1, 2].map((at) => sample(at, { rssBytes: 1e8, threads: { [`${pid} <b>&\u0001`]: at / 2 } }));
    const named = { ...report, samples, url: 'http://x/?a=<script>&"b', reasons: { '<img>': 1 } };
    const svg = await drawPicture(named);
    expectPicture(svg);
    expect(textsOf(svg)).toContain('&lt;b&gt;&amp;? (main)');
    expect(await drawPage(named)).not.toMatch(/<(script|img|b)>/);
  });

  it('gives what threads used between samples, and puts idle ones together', async () => {
    const samples = [0, 1, 2, 3].map((at) =>
      sample(at, { threads: { [`${pid} main`]: at * 0.5, '8 idle': 0.01, '9 idle': 0.02, ...(at > 1 ? { '10 late': at * 0.1 } : {}) } }),
    );
    const texts = textsOf(await drawPicture(reportOf(samples)));
    expect(texts).toEqual(expect.arrayContaining(['main (main)', 'late 10', '2 others']));
    expect(texts).not.toContain('idle 8');
  });

  it.each([
    ['nothing', []],
    ['less than a second', [sample(0), sample(0.6)]],
    ['one second', [sample(0), sample(1.001, { threads: { '7 a': 1 }, rssBytes: 1 })]],
    [
      'a server that is gone',
      [sample(0, { threads: { '7 a': 1 }, rssBytes: 1 }), sample(1, { threads: { '7 a': 1.5 }, rssBytes: 1 }), sample(2)],
    ],
    ['a day', Array.from({ length: 86_400 }, (_, at) => sample(at, { threads: { '7 a': at / 3, '8 b': at / 9 }, rssBytes: 1e8 + at }))],
  ])('copes with %s', async (_what, samples) => {
    const svg = await drawPicture(reportOf(samples), 'narrow');
    expectPicture(svg);
    expect(svg.length).toBeLessThan(200_000);
  });
});
