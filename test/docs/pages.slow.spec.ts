import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { env, missing } from '../../tools/engines.mjs';
import { startEngine } from '../support/brokers.js';
import { compile, parse, parseJsonc } from '../support/compile.js';
import { temporaryFolder } from '../support/ends.js';
import { type Block, blocksOf, commandsOf, pages } from '../support/markdown.js';
import { Run } from '../support/run.js';
import { type Command, commandOf, linesOf } from '../support/shell.js';

const { scripts, devDependencies } = JSON.parse(readFileSync('package.json', 'utf8')) as Record<string, Record<string, string>>;
const blocks = pages.flatMap(blocksOf);
const blocksIn = (...languages: string[]): Block[] => blocks.filter(({ language }) => languages.includes(language));
const absent = missing();

afterEach(() => Run.endAll());

/** The checks, by language; '' and text are what programs say. */
const languages = ['', 'text', 'ts', 'tsx', 'js', 'json', 'jsonc', 'yaml', 'nginx', 'sh'];

it.each(blocks.map(({ place, language }) => [place, language]))('%s is in a language that is checked: %s', (_, language) => {
  expect(languages).toContain(language);
});

describe('ts', () => {
  let faults: Map<string, string[]>;

  beforeAll(() => {
    faults = compile(blocksIn('ts', 'tsx'));
  });

  it.each(blocksIn('ts', 'tsx').map(({ place }) => place))('%s type-checks against the sources', (place) => {
    expect(faults.get(place)).toEqual([]);
  });
});

for (const { place, text } of blocksIn('js')) it(`${place} is JavaScript`, () => expect(parse(text)).toEqual([]));
for (const { place, text } of blocksIn('json')) it(`${place} is JSON`, () => void JSON.parse(text));
for (const { place, text } of blocksIn('jsonc')) it(`${place} is JSON with comments`, () => expect(parseJsonc(text)).toEqual([]));
for (const { place, text } of blocksIn('yaml'))
  it(`${place} is YAML`, () => expect(parseAllDocuments(text).flatMap(({ errors }) => errors)).toEqual([]));

/** A whole configuration around what is a part of one. */
function nginxConfiguration(text: string): string {
  if (/^(events|http) *\{/m.test(text)) return text;
  const isOfServers = /^(server|upstream|map|limit_\w+_zone)\b/m.test(text);
  return `events {} http { ${isOfServers ? text : `server { listen 127.0.0.1:1; ${text} }`} }`;
}

for (const { place, text } of blocksIn('nginx')) {
  (absent.includes('nginx') ? it.skip : it)(`${place} is a configuration that nginx takes`, async () => {
    const folder = await temporaryFolder();
    await writeFile(join(folder, 'nginx.conf'), nginxConfiguration(text));
    const { status, stderr } = spawnSync('nginx', ['-t', '-q', '-p', folder, '-c', 'nginx.conf', '-e', 'stderr'], {
      env,
      encoding: 'utf8',
    });
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  });
}

describe('sh', () => {
  const publishKey = 'the-publish-key';

  /** The service starts with these settings, but for its port and the address of its engine, and ends in good order. */
  async function start(settings: Record<string, string>): Promise<void> {
    const kind = /^(redis|nats):/.exec(settings.FEED_BROKER ?? '')?.[1] as 'redis' | 'nats' | undefined;
    const engine = kind && (await startEngine(kind));
    const service = await Run.service({ ...settings, PORT: '0', ...(engine && { FEED_BROKER: engine.url }) });
    expect(service.out).toContain('try it');
    service.child.kill('SIGTERM');
    expect(await service.exit).toBe(0);
  }

  /** The program takes these options, says its help. */
  function takes(args: string[], help: () => { stdout: string; status: number | null }): void {
    const options = args.flatMap((arg) => /^-{1,2}[a-z][\w-]*/.exec(arg) ?? []);
    if (options.length === 0) return;
    const { stdout, status } = help();
    expect(status).toBe(0);
    for (const option of options) expect(stdout).toMatch(new RegExp(`(^|[\\s,\`])${option}\\b`));
  }

  /** The script is there, and takes the options. */
  function runs(script: string, args: string[]): void {
    expect(Object.keys(scripts)).toContain(script);
    takes(args, () => spawnSync('npm', ['run', '--silent', script, '--', '--help'], { encoding: 'utf8' }));
  }

  /** The packages are known here: they are tested with. */
  function installs(names: string[]): void {
    for (const name of names.filter((word) => !word.startsWith('-')))
      expect(['nestjs-feed', ...Object.keys(devDependencies)]).toContain(name);
  }

  function npm({ args: [command, ...args], env }: Command, isRun: boolean): Promise<void> | void {
    if (command === 'start' && isRun) return start(env);
    if (command === 'start' || command === 'test') return runs(command, args);
    if (command === 'run')
      return runs(
        args[0],
        args.slice(1).filter((arg) => arg !== '--'),
      );
    if (command === 'install' || command === 'i') return installs(args);
    expect(['ci']).toContain(command);
  }

  /** Ports and keys as they are here, and less of a flood. */
  async function callService({ program, args }: Command): Promise<void> {
    const service = await Run.service({ FEED_PUBLISH_KEY: publishKey });
    const fewer: Record<string, string> = { '--connections': '20', '-c': '20', '--rate': '200', '-r': '200', '--duration': '1', '-d': '1' };
    const here = args
      .map((arg) => arg.replace(/^http:\/\/[\w.]+(:\d+)?/, service.url).replace(/(Bearer) \S+/, `$1 ${publishKey}`))
      .map((arg, index, all) => fewer[all[index - 1]] ?? (all[index - 1] === '--pid' ? `${service.child.pid}` : arg));
    const [command, ...rest] =
      program === 'curl'
        ? ['curl', '--silent', '--show-error', '--fail', '--max-time', '2']
        : [process.execPath, resolve('dist/flood/cli.js')];
    const given = program === 'curl' ? here : here.slice(1);
    const { status, stdout, stderr } = spawnSync(command, [...rest, ...given], {
      cwd: await temporaryFolder(),
      encoding: 'utf8',
      env: { PATH: process.env.PATH, FEED_PUBLISH_KEY: publishKey },
    });
    // A feed does not end by itself: curl then says that its time was over.
    const isStreaming = program === 'curl' && status === 28 && stdout !== '';
    if (!isStreaming) expect({ status, stdout, stderr }).toMatchObject({ status: 0 });
  }

  for (const { place, text } of blocksIn('sh')) {
    it(`${place} is what a shell understands`, () => {
      expect(spawnSync('/bin/bash', ['-n'], { input: text, encoding: 'utf8' })).toMatchObject({ status: 0, stderr: '' });
    });

    for (const line of linesOf(text)) {
      const command = commandOf(line);
      if (!command) continue;
      const engine = /^(redis|nats):/.exec(command.env.FEED_BROKER ?? '')?.[1];
      (absent.includes(`${engine}-server`) ? it.skip : it)(`${place} works: ${line}`, async () => {
        if (command.program === 'npm') return npm(command, true);
        if (command.program === 'npx') expect(command.args[0]).toBe('nestjs-feed');
        return callService(command);
      });
    }
  }

  it.each(pages.flatMap((page) => commandsOf(page).map((line) => [page, line])))(
    '%s names a command that there is: %s',
    async (_, line) => {
      await npm(commandOf(line.replaceAll('…', 'x')) as Command, false);
    },
  );
});

/** As GitHub makes them of headings. */
const anchorOf = (heading: string): string =>
  heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
    .replaceAll(' ', '-');

/** What the package has beside its code. */
const packaged = ['CHANGELOG.md', ...pages];

it.each([...packaged, 'CONTRIBUTING.md', 'deploy/README.md', 'examples/README.md', 'load/README.md'])(
  'the links of %s lead somewhere',
  (page) => {
    const links = readFileSync(page, 'utf8').matchAll(
      /\]\((?:https:\/\/github\.com\/nestjs-feed\/nestjs-feed\/(?:blob|raw|tree)\/main\/(\S+?)|(?!https?:)([^)#\s]*))(?:#([^)\s]+))?\)/g,
    );
    for (const [link, inRepository, path, anchor] of links) {
      const target = inRepository ?? (path ? join(dirname(page), path) : page);
      expect([link, existsSync(target)]).toEqual([link, true]);
      // On the npm page there is nothing else that a relative link could lead to.
      if (packaged.includes(page) && inRepository === undefined) expect(packaged).toContain(target);
      if (!anchor) continue;
      const anchors = Array.from(readFileSync(target, 'utf8').matchAll(/^#+ (.*)$/gm), ([, heading]) => anchorOf(heading));
      expect(anchors).toContain(anchor);
    }
  },
);
