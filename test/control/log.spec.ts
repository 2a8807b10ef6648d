import { inspect } from 'node:util';
import { closeAll, follow, type ModuleOptions, platforms, serveFeeds, until } from '../support/serve.js';

describe.each(platforms)('the end of a connection on %s', (platform) => {
  afterEach(closeAll);

  /** Has one connection left by its client, one disconnected, and returns the lines of their ends. */
  const endsWith = async (logConnections: ModuleOptions['logConnections']) => {
    const lines: { level: string; line: object }[] = [];
    const note = (level: string) => (line: unknown) => {
      if (typeof line === 'object') lines.push({ level, line: line as object });
    };
    const served = await serveFeeds(platform, { nodeName: 'n', logConnections }, {}, (app) =>
      app.useLogger({ log: note('log'), warn: note('warn'), error: note('error') }),
    );
    const [one, two] = [await follow(served, '/feeds/a'), await follow(served, '/feeds?id=b&id=c', 'User-Agent: it "quotes"\tand spaces')];
    one.leave();
    await until(() => served.feeds.counts().open === 1);
    await served.feeds.disconnect({ connection: 'n-2' });
    await two.closed();
    await until(() => served.feeds.counts().open === 0);
    return lines;
  };

  it('has a line with its reason, for programs as fields and for people in one line', async () => {
    const [left, ended] = await endsWith('all');
    expect(left?.level).toBe('log');
    expect(JSON.parse(JSON.stringify(left?.line))).toEqual({
      ...{ event: 'connection ended', connection: 'n-1', reason: 'client', durationMs: expect.any(Number), address: '127.0.0.1' },
      ...{ feeds: ['a'], messages: 0, bytes: 0, waitingBytes: 0, format: 'text', transport: 'socket', lag: 0 },
    });
    expect(ended?.level).toBe('warn');
    expect(inspect(ended?.line)).toMatch(
      /^connection ended: connection="n-2" reason="disconnected" durationMs=\d+ address="127.0.0.1" userAgent="it \\"quotes\\"\\tand spaces" feeds=\["b","c"\] .*$/,
    );
  });

  it('has one where an operator may look into it', async () => {
    expect((await endsWith('abnormal')).map(({ line }) => line)).toMatchObject([{ connection: 'n-2', reason: 'disconnected' }]);
  });

  it('has none where none is asked for', async () => {
    expect(await endsWith(undefined)).toEqual([]);
  });
});
