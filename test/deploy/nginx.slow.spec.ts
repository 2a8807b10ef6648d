import { gunzipSync, constants as zlib } from 'node:zlib';
import { Controller, Get } from '@nestjs/common';
import { freePort, missing } from '../../tools/engines.mjs';
import { Peer } from '../support/peer.js';
import { ProxyProcess } from '../support/proxy-process.js';
import { closeAll, platforms, post, publishKey, type Served, serveFeeds, until } from '../support/serve.js';

/** Without privileges, and nothing outside its folder. The first segment of a path says how it is passed on. */
const configuration = (port: number, application: number) => `
  events { worker_connections 4096; }
  http {
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;

    gzip on;
    gzip_proxied any;
    gzip_min_length 1;
    upstream application { server 127.0.0.1:${application}; keepalive 1; }

    server {
      listen 127.0.0.1:${port};
      # As nginx does by itself: HTTP/1.0, a connection for each request.
      location /default/ { proxy_pass http://application/; }
      location / {
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        location /buffered/ { proxy_pass http://application/; proxy_buffering on; }
        location /unbuffered/ { proxy_pass http://application/; proxy_buffering off; }
        location /gzip/ { proxy_pass http://application/; gzip_types text/plain text/event-stream application/x-ndjson; }
      }
    }
  }
`;

const ways = ['default', 'buffered', 'unbuffered'];

/** nginx in front of an application. */
async function nginxBefore(application: number): Promise<ProxyProcess> {
  const port = await freePort();
  return ProxyProcess.start('nginx', configuration(port, application), port);
}

@Controller()
class AppController {
  @Get('route')
  route() {
    return 'ordinary';
  }
}

// tools/engines.mjs, which the test command runs first, says so where nginx is missing
const suite = missing().includes('nginx') ? describe.skip : describe;

suite.each(platforms)('behind nginx, %s', (platform) => {
  let served: Served;
  let nginx: ProxyProcess;

  beforeAll(async () => {
    served = await serveFeeds(platform, { publishKey }, { controllers: [AppController] });
    nginx = await nginxBefore(served.port);
  });
  afterAll(async () => {
    await nginx?.stop();
    await closeAll();
  });
  afterEach(async () => {
    Peer.leaveAll();
    await until(() => served.feeds.counts().open === 0);
  });

  /** Follows a feed; its head is there, so that the service has the connection. */
  const follow = async (path: string, ...headers: string[]) => {
    const peer = await Peer.get(nginx.port, path, ...headers);
    await peer.sees('\r\n\r\n');
    expect(peer.head).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
    return peer;
  };

  describe.each(ways)('%s,', (way) => {
    it.each([
      ['text', (n: number) => `message ${n}\n`],
      ['sse', (n: number) => `data: message ${n}\n\n`],
      ['ndjson', (n: number) => `"data":"message ${n}"}\n`],
    ])('passes each message on at once, and the end, in %s', async (format, written) => {
      const peer = await follow(`/${way}/feeds/a?format=${format}`);
      for (let n = 1; n <= 20; n += 1) {
        await served.feeds.publish('a', `message ${n}`);
        await until(() => peer.body.endsWith(written(n)));
      }
      served.feeds.end('a');
      await until(() => peer.isComplete);
    });

    it('lets the service know when a client leaves', async () => {
      const { closed } = served.feeds.counts();
      const [one, other] = [await follow(`/${way}/feeds/a`), await follow(`/${way}/feeds/a`)];
      one.leave();
      other.reset();
      await until(() => served.feeds.counts().closed.client === closed.client + 2);
    });

    // Only because the service asks for no buffering: nginx would take a gigabyte for the client otherwise.
    it('lets the service know when a client does not read, and others go on', async () => {
      const { closed } = served.feeds.counts();
      const [slow, other] = [await follow(`/${way}/feeds/a`), await follow(`/${way}/feeds/a`)];
      slow.socket.pause();
      const line = 'x'.repeat(60_000);
      let published = 0;
      while (served.feeds.counts().closed.slow === closed.slow) {
        published += 1;
        await served.feeds.publish('a', `${published} ${line}`);
        await until(() => other.text.includes(`\n${published} x`) && served.feeds.count('a').bufferedBytes < 65_536 * 2);
      }
      expect(served.feeds.counts().open).toBe(1);
      await until(() => other.body.endsWith('x\n'));
      expect(other.body).toBe(Array.from({ length: published }, (_, n) => `${n + 1} ${line}\n`).join(''));
    });

    it('resumes', async () => {
      const peer = await follow(`/${way}/feeds/a?format=ndjson`);
      await served.feeds.publish('a', 1);
      await until(() => peer.body.endsWith('"data":1}\n'));
      peer.leave();
      await served.feeds.publish('a', 2);
      await served.feeds.publish('a', 3);
      const again = await follow(`/${way}/feeds/a?format=ndjson`, `Last-Event-ID: ${peer.lines.at(-1)?.id}`);
      await served.feeds.publish('a', 4);
      await until(() => again.body.endsWith('"data":4}\n'));
      expect(again.lines.map(({ data }) => data)).toEqual([2, 3, 4]);
    });

    it('takes what is published, and answers ordinary requests', async () => {
      const peer = await follow(`/${way}/feeds/a`);
      const answer = await post(`http://127.0.0.1:${nginx.port}/${way}/feeds/a`, 'hello');
      expect(await answer.json()).toMatchObject({ feed: 'a', subscribers: 1 });
      await until(() => peer.body === 'hello\n');
      expect((await fetch(`http://127.0.0.1:${nginx.port}/${way}/feeds/not%20an%20id`)).status).toBe(400);
    });
  });

  it('brings 500 followers each message once and in order', async () => {
    const peers = await Promise.all(Array.from({ length: 500 }, (_, n) => follow(`/${ways[n % ways.length]}/feeds/a`)));
    expect(served.feeds.counts().open).toBe(500);
    const messages = Array.from({ length: 100 }, (_, n) => `message ${n + 1}`);
    for (const message of messages) await served.feeds.publish('a', message);
    await until(() => peers.every((peer) => peer.text.includes(`${messages.at(-1)}\n`)));
    expect(new Set(peers.map(({ body }) => body))).toEqual(new Set([`${messages.join('\n')}\n`]));
  });

  it('serves a feed on a connection of nginx that had ordinary requests before', async () => {
    let connections = 0;
    const count = () => {
      connections += 1;
    };
    const ask = async () => expect(await (await fetch(`http://127.0.0.1:${nginx.port}/buffered/route`)).text()).toBe('ordinary');
    await ask();
    served.app.getHttpServer().on('connection', count);
    await ask();
    const peer = await follow('/buffered/feeds/a');
    expect(connections).toBe(0);
    expect(served.feeds.counts()).toMatchObject({ open: 1, handedOver: 1 });
    await served.feeds.publish('a', 'hello');
    await until(() => peer.body === 'hello\n');
    await ask();
    expect(connections).toBe(1);
    peer.leave();
    await until(() => served.feeds.counts().open === 0);
    await ask();
    served.app.getHttpServer().off('connection', count);
  });

  it('is not compressed, unless nginx is told to, and then each message still comes at once', async () => {
    const formats = ['text', 'sse', 'ndjson'];
    const acceptsGzip = 'Accept-Encoding: gzip';
    for (const format of formats)
      expect((await follow(`/buffered/feeds/a?format=${format}`, acceptsGzip)).head).not.toMatch(/content-encoding/i);
    for (const format of formats) {
      const peer = await follow(`/gzip/feeds/a?format=${format}`, acceptsGzip);
      expect(peer.head).toMatch(/\r\ncontent-encoding: gzip/i);
      for (let n = 1; n <= 20; n += 1) {
        await served.feeds.publish('a', `message ${n}`);
        await until(() => gunzip(peer.body).includes(`message ${n}`));
      }
    }
  });

  it('lets the service know when nginx goes', async () => {
    const own = await nginxBefore(served.port);
    const { closed } = served.feeds.counts();
    const peers = await Promise.all(ways.map((way) => Peer.get(own.port, `/${way}/feeds/a`)));
    for (const peer of peers) await peer.sees('\r\n\r\n');
    await own.stop();
    for (const peer of peers) await peer.closed();
    await until(() => served.feeds.counts().closed.client === closed.client + peers.length);
  });
});

/** The beginning of what was compressed, as far as it came (Latin-1). */
function gunzip(bytes: string): string {
  return bytes === '' ? '' : gunzipSync(Buffer.from(bytes, 'latin1'), { finishFlush: zlib.Z_SYNC_FLUSH }).toString();
}
