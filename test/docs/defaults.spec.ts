import { readFileSync } from 'node:fs';
import * as v from 'valibot';
import { FeedModule } from '../../src/feed/feed.module.js';
import { type FeedModuleExtras, feedOptionRules, resolveFeedOptions } from '../../src/feed/feed.options.js';
import { feedRuleEntries } from '../../src/feed/pubsub/rule.options.js';
import { type Config, readConfig } from '../../src/service/config.js';
import { resolveWebhookOptions } from '../../src/webhook/webhook.options.js';

/** The rows of a section's tables, each as its cells. The section ends with the next heading of its level. */
function rowsOf(page: string, heading: string): string[][] {
  const [, level] = /^(#+) /.exec(heading) as RegExpExecArray;
  const [, section] = readFileSync(page, 'utf8').split(`\n${heading}\n`);
  const [text] = (section as string).split(new RegExp(`^#{1,${level.length}} `, 'm'));
  const rows = Array.from(text.matchAll(/^\|(.*)\|$/gm), ([, row]) => row.split('|').map((cell) => cell.trim()));
  return rows.filter(([first]) => first.startsWith('`'));
}

/** What a text has in code: `a`, `b` are a and b. */
const codeIn = (text: string): string[] => Array.from(text.matchAll(/`([^`]+)`/g), ([, code]) => code);

/** As documentation writes a default: without a value it is none, and without a limit 0. */
function written(value: unknown): string {
  if (value === undefined || (typeof value === 'object' && Object.keys(value as object).length === 0)) return 'none';
  return value === Number.POSITIVE_INFINITY ? '0' : String(value);
}

/** The default of a cell: its code, or `none` for words. The service may have another one. */
function defaultsIn(cell: string): { module: string; service: string | undefined } {
  const [module, service] = cell.split('; the service: ');
  const one = (text: string) => codeIn(text)[0] ?? 'none';
  return { module: one(module), service: service && one(service) };
}

describe('the options in docs/operating.md', () => {
  const sections = ['Routes and sources', 'Authorization', 'Limits', 'Shutdown', 'History and brokers'];
  const rows = sections.flatMap((name) => rowsOf('docs/operating.md', `### ${name}`));
  const byOption = new Map(rows.flatMap(([names, , , cell]) => codeIn(names).map((name) => [name, defaultsIn(cell)])));
  /** Options that stand next to the factory in `forRootAsync()`. */
  const extras: Record<keyof FeedModuleExtras, string> = {
    path: 'none',
    guards: '[FeedAuthGuard]',
    tickets: 'false',
    decorators: '[]',
    isGlobal: String(FeedModule.forRoot().global),
  };
  /** Defaults that the machine, or another option, decides. */
  const computed: Record<string, string> = { maxConnections: 'none', nodeName: '<host name>-<pid>', ticketSecret: 'jwtSecret' };
  const resolved = resolveFeedOptions({}) as unknown as Record<string, unknown>;

  it('are all that there are', () => {
    expect([...byOption.keys()].sort()).toEqual([...Object.keys(feedOptionRules), ...Object.keys(extras)].sort());
  });

  it.each(Object.entries(feedOptionRules))('have the default of %s', (option, rule) => {
    const inCode = computed[option] ?? written(v.getDefault(rule as v.GenericSchema) ?? resolved[option]);
    expect(byOption.get(option)?.module).toBe(inCode);
  });

  it.each(Object.entries(extras))('have the default of %s, which stands next to the factory', (option, inCode) => {
    expect(byOption.get(option)?.module).toBe(inCode);
  });

  it('have the defaults of the service where they are others', () => {
    const { feed, path } = readConfig({}) as Config;
    const given = { ...feed, path } as unknown as Record<string, unknown>;
    for (const [option, { service }] of byOption) {
      // The key is made at the start, if none is set.
      if (option === 'publishKey') continue;
      expect([option, given[option] === undefined ? undefined : written(given[option])]).toEqual([option, service]);
    }
  });

  const settings = rowsOf('docs/operating.md', '### The service').filter(([, cell]) => codeIn(cell).length > 0);
  it.each(settings.map(([names, cell]) => [names, cell]))('have the default of %s', (names, cell) => {
    const { host, port, workers, adapter, log, dashboard } = readConfig({});
    const inCode: Record<string, unknown> = {
      ...{ HOST: host, PORT: port, WORKERS: workers, FEED_ADAPTER: adapter, FEED_LOG: log },
      FEED_DASHBOARD: dashboard ? 'on' : 'off',
    };
    expect(codeIn(cell)).toEqual(codeIn(names).map((name) => String(inCode[name])));
  });
});

describe('the options in docs/embedding.md', () => {
  it('have the defaults of a webhook', () => {
    const inCode = resolveWebhookOptions({ url: 'http://localhost', secret: 'secret' });
    const inDocs = rowsOf('docs/embedding.md', '### Events').flatMap(([names, , cell]) => {
      const values = cell?.match(/\d+/g) ?? [];
      return codeIn(names).flatMap((name, n) => (name in inCode && values.length > 0 ? [[name, Number(values[n])]] : []));
    });
    const { url: _url, secret: _secret, ...defaults } = inCode;
    expect(Object.fromEntries(inDocs)).toEqual(defaults);
  });

  it('have all options of a rule', () => {
    const names = rowsOf('docs/embedding.md', '### Rules').flatMap(([cell]) => codeIn(cell).map((code) => code.replace(/:.*/, '')));
    expect(names.sort()).toEqual(Object.keys(feedRuleEntries).sort());
  });
});

/** The docstrings of options, by name. */
function docsOf(...files: string[]): Map<string, string> {
  const texts = files.map((file) => readFileSync(file, 'utf8'));
  const all = texts.flatMap((text) => Array.from(text.matchAll(/\/\*\*((?:(?!\*\/)[\s\S])*)\*\/\s*(\w+)\?: /g)));
  return new Map(all.map(([, doc, name]) => [name, doc.replaceAll(/\s*\n\s*\* ?/g, ' ')]));
}

describe('the docstring of an option', () => {
  const docs = docsOf('src/feed/feed.options.ts', 'src/feed/auth/auth.options.ts', 'src/feed/limits/limit.options.ts');
  const resolved = resolveFeedOptions({}) as unknown as Record<string, unknown>;
  const literal = (value: unknown) => ['number', 'boolean', 'string'].includes(typeof value);
  const values = Object.entries(feedOptionRules).flatMap(([option, rule]): [string, unknown][] => {
    const value = v.getDefault(rule as v.GenericSchema) ?? resolved[option];
    return literal(value) && option !== 'maxConnections' && option !== 'nodeName' ? [[option, value]] : [];
  });

  it.each(values)('of %s has its default, %s', (option, value) => {
    const [, inDoc] = /Default: `?([^`:.\s]+)/.exec(docs.get(option) ?? '') ?? [];
    expect(inDoc).toBe(written(value));
  });

  it.each(Object.entries(resolveWebhookOptions({ url: 'http://localhost', secret: 'secret' })).filter(([, value]) => literal(value)))(
    'of a webhook, %s, has its default, %s',
    (option, value) => {
      const [, inDoc] = /Default: (\d+)/.exec(docsOf('src/webhook/webhook.options.ts').get(option) ?? '') ?? [];
      expect(inDoc).toBe(String(value));
    },
  );
});
