import type { FeedHistory } from '../../src/index.js';
import type { Engine } from '../../tools/engines.mjs';
import { type BrokerKind, describeBrokers, describeSharedBrokers, engineOf, roomy } from '../support/brokers.js';
import { closeAll, type Served, serveFeeds, until } from '../support/serve.js';

const serve = (kind: BrokerKind, port: number) =>
  serveFeeds('fastify', { drainMs: 0, historyLength: 2000, broker: (context) => kind.make(port, { ...context, ...roomy }) });
const ask = (served: Served | undefined, query: string) => fetch(`${served?.url}/feeds?${query}`);
const read = async (served: Served | undefined, query: string) => (await (await ask(served, query)).json()) as FeedHistory;

afterEach(closeAll);

describeBrokers('history and long poll, with', (kind: BrokerKind) => {
  it('any node have every message once and in order, while all of them publish', async () => {
    const engine = await engineOf(kind);
    const nodes = await Promise.all((kind.name === 'memory' ? [1] : [1, 2, 3]).map(() => serve(kind, engine?.port ?? 0)));
    const at = (n: number) => nodes[n % nodes.length] as Served;
    const begun = await at(0).feeds.position(['a', 'b']);
    const reader = async (mode: string, done: (got: string[]) => boolean) => {
      const got: string[] = [];
      let since = begun;
      for (let n = 0; !done(got); n += 1) {
        const answer = await read(at(n), `id=a&id=b&mode=${mode}&limit=7&since=${since}`);
        expect(answer).not.toHaveProperty('reset');
        got.push(...answer.messages.map(({ id }) => id as string));
        since = answer.position;
      }
      return got;
    };
    const count = 300;
    const polled = reader('poll', (got) => got.length >= count);
    const ids: string[] = [];
    for (let n = 0; n < count; n += 10) {
      const some = Array.from({ length: 10 }, (_, m) => at(n + m).feeds.publish(m % 3 ? 'a' : 'b', n + m));
      ids.push(...(await Promise.all(some)).map(({ id }) => id as string));
    }
    const offsetOf = (id: string) => Number(/-(\d+)/.exec(id)?.[1]);
    ids.sort((a, b) => offsetOf(a) - offsetOf(b));
    expect(await polled).toEqual(ids);
    expect(await reader('once', (got) => got.length >= count)).toEqual(ids);
    // What is published on one node is read on all.
    for (const node of nodes) {
      const { id } = await at(1).feeds.publish('a', 'last');
      expect((await read(node, 'id=a&mode=once&last=1')).messages).toMatchObject([{ id }]);
      expect(await node.feeds.history('a', { since: id as string })).toMatchObject({ messages: [] });
    }
    const end = await at(2).feeds.finish('a', { error: 'No.' });
    for (const node of nodes) {
      const ended = { reason: 'failed', message: 'No.' };
      expect(await node.feeds.history('a', { since: await node.feeds.position('a') })).toMatchObject({ messages: [], ended });
      expect(await node.feeds.history('a', { last: 1 })).toMatchObject({ messages: [{ id: end.id }], ended });
    }
  });
});

describeSharedBrokers('history and long poll while the server is down, with', (kind: BrokerKind) => {
  it('are rejected, and what waits already gets what comes when it is back', async () => {
    const engine = (await engineOf(kind)) as Engine;
    const served = await serve(kind, engine.port);
    await served.feeds.publish('a', 1);
    const waits = read(served, 'id=a&mode=poll&wait=60');
    await until(() => served.feeds.counts().opened === 1);
    await engine.kill();
    await until(() => served.feeds.status.broker.unavailableSince !== undefined);
    for (const mode of ['once', 'poll']) {
      const answer = await ask(served, `id=a&mode=${mode}`);
      expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, expect.stringMatching(/^\d+$/)]);
      expect(await answer.json()).toMatchObject({ code: 'FEED_BROKER' });
    }
    expect((await fetch(`${served.url}/feeds/a`, { method: 'HEAD' })).status).toBe(503);
    await expect(served.feeds.history('a')).rejects.toMatchObject({ code: 'FEED_BROKER' });
    await expect(served.feeds.position('a')).rejects.toMatchObject({ code: 'FEED_BROKER' });
    expect(served.feeds.counts().open).toBe(1);
    await engine.restart();
    await until(() =>
      served.feeds.publish('a', 2).then(
        () => true,
        () => false,
      ),
    );
    expect((await waits).messages.at(-1)).toMatchObject({ data: 2 });
  });
});
