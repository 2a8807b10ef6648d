import { spawnSync } from 'node:child_process';
import { cp, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { MetricsModule } from '../../src/metrics/index.js';
import { WebhookModule } from '../../src/webhook/index.js';
import { env, missing } from '../../tools/engines.mjs';
import { temporaryFolder } from '../support/ends.js';
import { samplesOf } from '../support/samples.js';
import { closeAll, serveFeeds } from '../support/serve.js';

const withPromtool = missing().includes('promtool') ? it.skip : it;

const folder = 'deploy/prometheus';

function promtool(...args: string[]): void {
  const { status, stdout, stderr } = spawnSync('promtool', args, { env, encoding: 'utf8', cwd: folder });
  expect({ status, said: status === 0 ? '' : stdout + stderr }).toEqual({ status: 0, said: '' });
}

/** The example in the comment, in the place of what it stands beside. */
function uncommented(config: string): string {
  const [head, example] = config.split(/^ {2}- job_name[\s\S]*in the place of that:\n/m) as [string, string];
  return head + example.replaceAll(/^( +)# /gm, '$1');
}

afterEach(closeAll);

describe('Prometheus', () => {
  withPromtool('finds the metrics and the alerts valid', async () => {
    const served = await serveFeeds('express', {}, { imports: [MetricsModule] });
    const input = await (await fetch(`${served.url}/metrics`)).text();
    const { status, stdout, stderr } = spawnSync('promtool', ['check', 'metrics'], { env, encoding: 'utf8', input });
    expect({ status, said: stdout + stderr }).toEqual({ status: 0, said: '' });
    promtool('check', 'rules', 'alerts.yml');
    promtool('test', 'rules', 'alerts.test.yml');
  });

  withPromtool('takes the configuration that scrapes the service', async () => {
    const temporary = await temporaryFolder();
    await cp(folder, temporary, { recursive: true });
    // Debian's promtool is built without Kubernetes.
    const wanted = /kubernetes_sd_configs: .*/;
    const config = await readFile(join(folder, 'prometheus.yml'), 'utf8');
    expect(config).toMatch(wanted);
    const path = join(temporary, 'prometheus.yml');
    for (const text of [config.replace(wanted, "static_configs: [{ targets: ['feed-1:8080'] }]"), uncommented(config)]) {
      await writeFile(path, text);
      promtool('check', 'config', path);
    }
  });

  it('has each metric that the alerts and the Grafana dashboard use', async () => {
    const webhook = WebhookModule.forRoot({ url: 'http://127.0.0.1:9/', secret: 'any' });
    const served = await serveFeeds('express', { maxConnections: 1 }, { imports: [webhook, MetricsModule] });
    const names = new Set([...(await samplesOf(`${served.url}/metrics`)).keys()].map((key) => key.replace(/\{.*/, '')));
    for (const file of (await readdir(folder)).filter((name) => name !== 'prometheus.yml')) {
      const asked = (await readFile(`${folder}/${file}`, 'utf8')).match(/\b(?:feed|nodejs|process)_[a-z0-9_]+/g) ?? [];
      expect(asked.length).toBeGreaterThan(10);
      expect({ file, unknown: asked.filter((name) => !names.has(name)) }).toEqual({ file, unknown: [] });
    }
  });
});
