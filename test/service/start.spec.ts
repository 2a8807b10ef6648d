import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { Run } from '../support/run.js';
import { platforms, until } from '../support/serve.js';

afterEach(() => Run.endAll());

/** Expects that the service does not start, and says why on stderr. */
async function expectFailure(run: Run, line: string): Promise<void> {
  expect({ code: await run.exit, err: run.err, out: run.out }).toEqual({ code: 1, err: `${line}\n`, out: '' });
}

describe('the start of the service', () => {
  it('comes after an installation that prints nothing on which a newcomer cannot act', () => {
    const { PATH, HOME } = process.env;
    const { status, stderr } = spawnSync('npm', ['ci', '--dry-run', '--offline'], { encoding: 'utf8', env: { PATH, HOME } });
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  });

  it.each([
    ['FEED_ADAPTER', 'koa', 'FEED_ADAPTER must be express or fastify, not "koa"'],
    ['HOST', 'no.such.host.invalid', 'HOST no.such.host.invalid is not an address of this machine'],
  ])('fails with a line on stderr where %s=%s', async (name, value, line) => {
    await expectFailure(Run.node(['dist/main.js'], { PORT: '0', [name]: value }), line);
  });

  it.each([
    ['redis://127.0.0.1', 'ioredis', 'ioredis'],
    ['nats://127.0.0.1', '@nats-io/jetstream', '@nats-io/transport-node @nats-io/jetstream'],
  ])('fails with FEED_BROKER=%s where %s is not installed, and names what to install', async (broker, missing, packages) => {
    const resolve = `export async function resolve(name, context, next) {
      if (name === '${missing}') throw Object.assign(new Error(), { code: 'ERR_MODULE_NOT_FOUND' });
      return next(name, context);
    }`;
    const url = (code: string) => `data:text/javascript,${encodeURIComponent(code)}`;
    const hook = url(`import { register } from 'node:module'; register(${JSON.stringify(url(resolve))});`);
    const run = Run.node(['--import', hook, 'dist/main.js'], { PORT: '0', FEED_BROKER: broker });
    await expectFailure(run, `FEED_BROKER needs a client that is not installed: npm install ${packages}`);
  });

  it.each(['FEED_JWT_SECRET', 'FEED_JWT_SECRETS'])('fails where %s can be guessed', async (name) => {
    const run = Run.node(['dist/main.js'], { PORT: '0', [name]: 'short' });
    expect(await run.exit).toBe(1);
    expect(run.err).toMatch(new RegExp(`^${name} must be 32 bytes or more \\(RFC 7518 section 3.2; [^\n]*\n$`));
    expect(run.err).not.toContain('short');
  });

  it('warns of a broker that is unavailable', async () => {
    const service = await Run.service({ FEED_BROKER: 'redis://127.0.0.1:1' });
    await until(() => service.err.includes('redis'));
    const [broker] = service.err.split('\n');
    expect(broker).toBe('redis is unavailable (connect ECONNREFUSED 127.0.0.1:1): messages are rejected until it is available again');
    expect(await service.status('/health/ready')).toBe(200);
  });

  it.each(platforms)('fails on %s while the port is in use', async (platform) => {
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    const { port } = taken.address() as AddressInfo;
    const run = Run.node(['dist/main.js'], { PORT: `${port}`, FEED_ADAPTER: platform });
    await expectFailure(run, `PORT ${port} on 127.0.0.1 is in use: stop the process that listens there, or set PORT to another port`);
    taken.close();
  });
});
