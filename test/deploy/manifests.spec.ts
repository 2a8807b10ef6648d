import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { dirname, join } from 'node:path';
import ts from 'typescript';
import { parse, parseAllDocuments } from 'yaml';
import { packages } from '../../tools/pack.mjs';

const read = (path: string) => readFileSync(path, 'utf8');
const { scripts, dependencies, devDependencies, repository, homepage, bugs } = JSON.parse(read('package.json'));
const startCommand: string = scripts.start.replace(/.*\bexec /, '');
const manifests = readdirSync('deploy/kubernetes').map((name) => `deploy/kubernetes/${name}`);

/** What the files say, by the names of what they define. */
const compose = parse(read('compose.yaml'), { merge: true });
const kinds: Record<string, Manifest> = Object.fromEntries(manifests.map((path) => [parse(read(path)).kind, parse(read(path))]));
const unit = new Map(
  read('deploy/systemd/nestjs-feed.service')
    .split('\n')
    .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
);

// biome-ignore lint/suspicious/noExplicitAny: as their own checkers do, a test says what a manifest must have where it looks
type Manifest = any;

describe('what is deployed', () => {
  it('has each package that the service imports, and no other', () => {
    // The page's charts are a file that is served.
    const imported = importsOf('dist/main.js').add('uplot');
    const named = [...packages, ...Object.keys(dependencies)];
    expect([...imported].filter((name) => !named.includes(name))).toEqual([]);
    expect(packages.filter((name) => !(imported.has(name) && name in devDependencies))).toEqual([]);
  });

  it('sets variables that the service reads', () => {
    const known = new Set(read('src/service/config.ts').match(/\b(FEED_[A-Z_]+|WORKERS)\b/g));
    const files = ['compose.yaml', 'deploy/compose.nats.yaml', 'deploy/systemd/nestjs-feed.service', 'deploy/README.md'];
    const named = [...files, ...manifests, 'deploy/nginx.conf', 'deploy/haproxy.cfg'].flatMap(
      (path) => read(path).match(/\b(FEED_[A-Z_]+|WORKERS)\b/g) ?? [],
    );
    expect(named.filter((name) => !known.has(name))).toEqual([]);
  });

  it('starts as npm start does', () => {
    const command = /^CMD (.*)$/m.exec(read('Dockerfile'))?.[1] ?? '';
    expect(JSON.parse(command).join(' ')).toBe(startCommand);
    expect(unit.get('ExecStart')).toBe(`/usr/bin/${startCommand}`);
  });

  it('is built of files that the build gets', () => {
    const files = read('.dockerignore')
      .split('\n')
      .filter((line) => line.startsWith('!'))
      .map((line) => line.slice(1));
    expect(files.filter((path) => !existsSync(path))).toEqual([]);
  });

  it.each(['compose.yaml', 'deploy/compose.nats.yaml', ...manifests])('%s is YAML', (path) => {
    for (const document of parseAllDocuments(read(path), { merge: true, customTags })) {
      expect([...document.errors, ...document.warnings]).toEqual([]);
    }
  });

  it('leads from its page on npm to the sources, the documentation and the reports of bugs', () => {
    const repositoryPage = repository.url.replace(/^git\+(.*)\.git$/, '$1');
    expect(repositoryPage).toMatch(/^https:\/\/github\.com\/[\w-]+\/[\w-]+$/);
    expect([homepage, bugs]).toEqual([`${repositoryPage}#readme`, `${repositoryPage}/issues`]);
  });

  it('is found by what refers to it', () => {
    const { selector, template } = kinds.Deployment.spec;
    const { labels } = template.metadata;
    expect(selector.matchLabels).toEqual(labels);
    expect(kinds.Service.spec.selector).toEqual(labels);
    expect(kinds.PodDisruptionBudget.spec.selector.matchLabels).toEqual(labels);
    expect(template.spec.topologySpreadConstraints.map((spread: Manifest) => spread.labelSelector.matchLabels)).toEqual([labels, labels]);
    const { scaleTargetRef, metrics } = kinds.HorizontalPodAutoscaler.spec;
    expect(scaleTargetRef).toEqual({ apiVersion: 'apps/v1', kind: 'Deployment', name: kinds.Deployment.metadata.name });
    const [{ job_name, relabel_configs }] = parse(read('deploy/prometheus/prometheus.yml')).scrape_configs;
    expect(relabel_configs.slice(0, 2).map(({ regex }: Manifest) => regex)).toEqual([
      labels['app.kubernetes.io/name'],
      template.spec.containers[0].ports[0].name,
    ]);
    expect(read('deploy/prometheus/alerts.yml')).toContain(`job="${job_name}"`);
    expect(read('deploy/kubernetes/prometheus-adapter.yaml')).toContain(`'${metrics[0].pods.metric.name}{`);
    expect(kinds.Kustomization.resources.every((path: string) => existsSync(`deploy/kubernetes/${path}`))).toBe(true);
    for (const [name, service] of Object.entries<Manifest>(compose.services)) {
      expect([name, Object.keys(service.depends_on ?? {}).filter((other) => !(other in compose.services))]).toEqual([name, []]);
    }
    const nodes = Object.keys(compose.services).filter((name) => name.startsWith('feed-'));
    for (const path of ['deploy/nginx.conf', 'deploy/haproxy.cfg']) {
      expect(new Set(read(path).match(/feed-\d+(?=:8080)/g))).toEqual(new Set(nodes));
    }
  });

  // FEED_DRAIN_MS is the longest that feeds take to end, FEED_LAME_DUCK_MS a part of it; webhooks and the engine's connection end after it.
  describe('is given the time to end its feeds', () => {
    const afterwards = 10;

    it('by Compose', () => {
      for (const name of ['feed-1', 'feed-2', 'feed-3']) {
        const { environment, stop_grace_period } = compose.services[name];
        expect(seconds(stop_grace_period)).toBeGreaterThanOrEqual(environment.FEED_DRAIN_MS / 1000 + afterwards);
      }
    });

    it('by systemd', () => {
      const [, lameDuck, drain] = /FEED_LAME_DUCK_MS=(\d+) FEED_DRAIN_MS=(\d+)/.exec(unit.get('Environment') ?? '') ?? [];
      expect(Number(unit.get('TimeoutStopSec'))).toBeGreaterThanOrEqual(Number(drain) / 1000 + afterwards);
      expect(Number(lameDuck)).toBeLessThan(Number(drain) / 2);
      // HAProxy must have seen it before the first feed is ended: fall checks, and one that had just been made.
      const [, inter, fall] = /option httpchk GET \/health\/ready\n\s+default-server check inter (\S+) fall (\d+)/.exec(
        read('deploy/haproxy.cfg'),
      ) as string[];
      expect(Number(lameDuck) / 1000).toBeGreaterThan(seconds(inter as string) * (Number(fall) + 1));
    });

    it('by Kubernetes', () => {
      const { terminationGracePeriodSeconds, containers } = kinds.Deployment.spec.template.spec;
      const [{ env: variables, lifecycle, readinessProbe }] = containers;
      const drain = variables.find(({ name }: Manifest) => name === 'FEED_DRAIN_MS').value / 1000;
      const wait = Number(lifecycle.preStop.exec.command[1]);
      expect(terminationGracePeriodSeconds).toBeGreaterThanOrEqual(wait + drain + afterwards);
      expect(wait).toBeGreaterThanOrEqual(readinessProbe.periodSeconds * readinessProbe.failureThreshold);
    });
  });
});

const customTags = [
  { tag: '!override', collection: 'map' as const, resolve: (value: unknown) => value },
  { tag: '!reset', resolve: () => null },
];

function seconds(time: string): number {
  const [, amount, unit] = /^(\d+)(m?s)$/.exec(time) ?? [];
  return Number(amount) / (unit === 'ms' ? 1000 : 1);
}

/** The packages that a built file imports, and those that it imports do, as far as they are built of this repository. */
function importsOf(path: string, seen = new Set<string>(), names = new Set<string>()): Set<string> {
  if (seen.has(path)) return names;
  seen.add(path);
  for (const { fileName } of ts.preProcessFile(read(path)).importedFiles) {
    if (fileName.startsWith('.')) importsOf(join(dirname(path), fileName), seen, names);
    else if (!fileName.startsWith('node:') && !builtinModules.includes(fileName)) {
      names.add(/^(@[^/]+\/)?[^/]+/.exec(fileName)?.[0] as string);
    }
  }
  return names;
}
