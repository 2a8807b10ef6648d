import { Peer } from '../support/peer.js';
import { Run } from '../support/run.js';
import { until } from '../support/serve.js';

afterEach(() => {
  Peer.leaveAll();
  Run.endAll();
});

const parsed = (text: string) =>
  text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);

describe('the log', () => {
  it('has a line for the start and for a shutdown, and none for a connection', async () => {
    const run = Run.node(['dist/main.js'], { PORT: '0', FEED_LOG: 'json', WORKERS: '1' });
    await until(() => run.out.includes('\n'));
    const [start] = parsed(run.out);
    expect(start).toMatchObject({ level: 'log', pid: run.child.pid, timestamp: expect.any(Number), adapter: 'express', workers: 1 });
    // A log is read by many: the key for publishing is not for them.
    expect(run.out).not.toContain('Bearer');
    expect(start?.message).toMatch(/; FEED_PUBLISH_KEY is not set: the generated key is not logged, set one to publish$/);
    const peer = await Peer.get(Number(new URL(start?.url as string).port), '/test/42');
    await peer.sees('Chunk 1');
    run.child.kill('SIGTERM');
    expect(await run.exit).toBe(0);
    expect(parsed(run.out).map(({ level, context, message }) => [level, context, (message as string).replace(/ \d+ ms/, ' … ms')])).toEqual(
      [
        ['log', undefined, start?.message],
        ['log', 'FeedService', 'Shutting down with 1 connections open, within … ms'],
        ['log', 'FeedService', 'All connections have ended, after … ms'],
      ],
    );
    expect(run.err).toBe('');
  });

  it('says in JSON, too, why there is no start', async () => {
    const run = Run.node(['dist/main.js'], { PORT: '0', HOST: '203.0.113.1', FEED_LOG: 'json' });
    expect(await run.exit).toBe(1);
    expect(parsed(run.err)).toEqual([
      expect.objectContaining({ level: 'error', message: 'HOST 203.0.113.1 is not an address of this machine' }),
    ]);
  });
});
