import { getEventListeners } from 'node:events';
import { createFeedClient } from '../../src/client/index.js';
import { closeAll, platforms, publishKey, serveFeeds } from '../support/serve.js';
import { until } from '../support/until.js';
import { closeClients, startServer, stopServer, wire } from '../support/wire.js';

beforeAll(startServer);
afterAll(stopServer);

describe('publish()', () => {
  afterEach(closeClients);

  it('asks for another token after a 401, also where an attempt has failed before', async () => {
    let count = 0;
    const client = createFeedClient({
      url: 'http://feeds.test/feeds',
      retry: { minMs: 5 },
      token: () => 'token',
      fetch: async () => {
        count += 1;
        if (count === 1) throw new TypeError('offline');
        return count === 2 ? new Response('{}', { status: 401 }) : new Response('{"id":"e-1/a"}', { status: 201 });
      },
    });
    await expect(client.publish('a', 'text')).resolves.toMatchObject({ id: 'e-1/a' });
  });

  it('leaves no listener on its signal', async () => {
    const { signal } = new AbortController();
    let count = 0;
    const client = createFeedClient({
      url: 'http://feeds.test/feeds',
      retry: { minMs: 1 },
      fetch: async () => {
        count += 1;
        return count < 5 ? new Response('', { status: 502 }) : new Response('{"id":"e-1/a"}', { status: 201 });
      },
    });
    await client.publish('a', 'text', { signal });
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
  });

  it('with timeoutMs 0 does not wait for ever', async () => {
    const { client } = wire();
    let isOver = false;
    client.publish('a', 'text', { timeoutMs: 0 }).catch(() => {
      isOver = true;
    });
    await until(() => isOver);
  });
});

describe.each(platforms)('publish() on %s', (platform) => {
  afterEach(closeAll);

  it.each([7, 0, true, false, null, 'text', '', [1], { a: 1 }, new Date(0)])('publishes %j as it is', async (data) => {
    const { url, feeds } = await serveFeeds(platform, { publishKey });
    const client = createFeedClient({ url: `${url}/feeds`, token: publishKey });
    const { id } = await client.publish('a', data, { key: 'once', type: 'x' });
    await expect(client.publish('a', data, { key: 'once', type: 'x' })).resolves.toEqual({ id, feed: 'a', subscribers: 0 });
    const { messages } = await feeds.history('a');
    expect(messages).toEqual([{ id, feed: 'a', type: 'x', time: expect.any(Number), data: JSON.parse(JSON.stringify(data)) }]);
  });

  it('is rejected with what is wrong with a value', async () => {
    const { url } = await serveFeeds(platform, { publishKey });
    const client = createFeedClient({ url: `${url}/feeds`, token: 'another' });
    await expect(client.publish('a', 7)).rejects.toMatchObject({ name: 'FeedClientError', status: 401 });
  });
});
