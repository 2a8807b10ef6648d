import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createServer, type Socket } from 'node:net';
import { FloodOptionsError, flood } from '../../src/flood/index.js';
import { atEnd } from '../support/ends.js';

const head = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n';
const chunk = (line: string) => `${(line.length + 1).toString(16)}\r\n${line}\n\r\n`;
const numbered = (path: string, ...numbers: number[]) => numbers.map((number) => chunk(`Chunk ${number} for id ${path}`)).join('');

/** A server that lies: what it answers to each path is the test's to say. */
async function lying(answer: (path: string, socket: Socket) => void): Promise<string> {
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', (request) => answer(request.toString('latin1').split(' ')[1] as string, socket));
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  atEnd(() => server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}

describe('flood', () => {
  it.each<[string, object, (path: string, socket: Socket) => void]>([
    ['a missing chunk', { missing: 1 }, (path, socket) => socket.write(head + numbered(path, 1, 2, 4))],
    ['a missing first chunk', { missing: 1 }, (path, socket) => socket.write(head + numbered(path, 2, 3))],
    ['a repeated chunk', { repeated: 1 }, (path, socket) => socket.write(head + numbered(path, 1, 2, 2, 3))],
    ['a late chunk', { outOfOrder: 1, missing: 0 }, (path, socket) => socket.write(head + numbered(path, 1, 3, 2, 4))],
    ["another's chunk", { misdelivered: 1 }, (path, socket) => socket.write(head + numbered(path, 1) + numbered('/other', 2))],
    ["a like id's chunk", { misdelivered: 1 }, (path, socket) => socket.write(head + numbered(path, 1) + numbered(`${path}0`, 2))],
    ['an early end', { endedEarly: 1 }, (path, socket) => socket.write(`${head}${numbered(path, 1)}0\r\n\r\n`)],
    ['an early close', { endedEarly: 1 }, (path, socket) => socket.end(head + numbered(path, 1))],
    ['a reset', { failed: 1 }, (_path, socket) => socket.resetAndDestroy()],
    ['a refusal', { failed: 1 }, (_path, socket) => socket.write('HTTP/1.1 503 Service Unavailable\r\n\r\n')],
    ['another protocol', { failed: 1 }, (_path, socket) => socket.write('SSH-2.0-x\r\n\r\n')],
    ['a chunk longer than its size', { endedEarly: 1 }, (_path, socket) => socket.write(`${head}2\r\nabc\r\n`)],
    ['a bad chunk size', { endedEarly: 1 }, (path, socket) => socket.write(`${head}${numbered(path, 1)}zz\r\n`)],
    ['silence', { failed: 1 }, () => {}],
  ])('finds %s on one of three connections', async (_what, found, lie) => {
    const url = await lying((path, socket) => {
      if (path === '/2') lie(path, socket);
      else socket.write(head + numbered(path, 1, 2, 3));
    });
    const report = await flood({ url, connections: 3, duration: 0.2, timeout: 1 });
    expect(report).toMatchObject({ ok: false, connections: 3, ...found });
    expect(report.failed + report.endedEarly).toBe(Object.values(report.reasons).reduce((sum, count) => sum + count, 0));
  });

  it('says so when there was nothing to check', async () => {
    const url = await lying((_path, socket) => socket.write(head + chunk('hello')));
    expect(await flood({ url, connections: 2, duration: 0.1 })).toMatchObject({ ok: true, opened: 2, unchecked: 2, chunks: 0 });
  });

  it('measures silence up to the end', async () => {
    const url = await lying((path, socket) => socket.write(head + numbered(path, 1)));
    const { largestSilenceMs } = await flood({ url, connections: 1, duration: 0.5 });
    expect(largestSilenceMs).toBeGreaterThanOrEqual(490);
  });

  it.each([
    [{ url: 'ftp://x/' }, 'url'],
    [{ connections: 0 }, 'connections'],
    [{ rate: 1.5 }, 'rate'],
    [{ duration: -1 }, 'duration'],
    [{ sources: ['nowhere'] }, 'sources'],
    [{ format: 'xml' }, 'format'],
    [{ pid: 4_194_303 }, 'pid'],
    [{ publish: 0 }, 'publish'],
    [{ publish: 1.5 }, 'publish'],
    [{ feeds: 0 }, 'feeds'],
    [{ connections: 2, feeds: 3 }, 'feeds'],
    [{ messageBytes: -1 }, 'messageBytes'],
    [{ key: 'secret\r\nX: y' }, 'key'],
    [{ token: '' }, 'token'],
  ])('refuses %j', async (options, option) => {
    const failure = flood({ url: 'http://x/', ...options } as never);
    await expect(failure).rejects.toMatchObject({ name: 'FloodOptionsError', option });
    await expect(failure).rejects.toBeInstanceOf(FloodOptionsError);
    await expect(failure).rejects.toThrow(new RegExp(`^${option} (?!.*secret)`));
  });
});

describe('the flood command', () => {
  const run = (script: string) =>
    spawnSync('sh', ['-c', script.replaceAll('flood', `"${process.execPath}" dist/flood/cli.js flood`)], { encoding: 'utf8' });

  it('says in a line that the limit on open files is too low', () => {
    const { status, stderr } = run('ulimit -n 500; flood http://127.0.0.1:1/ --connections 600');
    expect(stderr).toBe(
      'flood: 600 connections need 632 open files, and the limit is 500: raise it (ulimit -n 632), or open 468 connections or fewer\n',
    );
    expect(status).toBe(2);
  });

  it.each([
    ['flood', /a URL is missing/],
    ['flood http://127.0.0.1:1/ --connections ten', /connections must be a whole number of connections from 1 to 1000000, not "ten"/],
    ['flood http://127.0.0.1:1/ --colour', /Unknown option '--colour'/],
    ['flood http://127.0.0.1:1/ --json /no/such/folder/x', /ENOENT/],
  ])('refuses "%s"', (script, message) => {
    const { status, stderr } = run(script);
    expect(stderr).toMatch(message);
    expect(status).toBe(2);
  });

  it('tells its options', () => {
    const { status, stdout } = run('flood --help');
    for (const option of ['--connections N', '--publish N', '--key KEY', '--report FILE']) expect(stdout).toContain(option);
    expect(status).toBe(0);
  });

  it('exits 1 when nobody listens', () => {
    const { status, stdout } = run('flood http://127.0.0.1:1/ --connections 3 --duration 0');
    expect(stdout).toMatch(/failed +3\n/);
    expect(stdout).toMatch(/× 3 +connect ECONNREFUSED/);
    expect(status).toBe(1);
  });
});
