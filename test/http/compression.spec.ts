import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { connect } from 'node:http2';
import type { AddressInfo } from 'node:net';
import compressEverything from '@fastify/compress';
import { Controller, Get } from '@nestjs/common';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import compression from 'compression';
import { EventSource } from 'eventsource';
import fc from 'fast-check';
import { Subject } from 'rxjs';
import { Feed } from '../../src/index.js';
import { atEnd } from '../support/ends.js';
import { decoded, decodedWhole, decodes } from '../support/gzip.js';
import { Peer } from '../support/peer.js';
import { adapterOf, closeAll, follow, type ModuleOptions, platforms, type Served, serveFeeds, until } from '../support/serve.js';

const gzip = 'Accept-Encoding: gzip';
const formats = ['text', 'sse', 'ndjson'];

let said = new Subject<unknown>();

@Controller('own')
class OwnController {
  @Feed(':id')
  own() {
    return said;
  }

  @Get()
  page() {
    return { page: long('page') };
  }
}

/** A message that is worth compressing, and some text that is not. */
const long = (word: string) => `${`${word} `.repeat(200)}.`;

describe.each(platforms)('compressed feeds on %s', (platform) => {
  let served: Served;
  const start = async (options: ModuleOptions = {}) => {
    served = await serveFeeds(platform, { compress: { minBytes: 100 }, ...options }, { controllers: [OwnController] });
  };
  beforeEach(() => {
    said = new Subject();
  });
  afterEach(closeAll);

  const head = async (...headers: string[]) => {
    const peer = await Peer.get(served.port, '/feeds/a', ...headers);
    await peer.sees('\r\n\r\n');
    peer.leave();
    return peer.head;
  };

  it.each(formats)('are in %s what they are as they are, whatever is published', async (format) => {
    await start();
    const texts = fc.array(fc.oneof(fc.string({ unit: 'grapheme' }), fc.string({ minLength: 90, maxLength: 2000 }), fc.json()), {
      maxLength: 20,
    });
    await fc.assert(
      fc.asyncProperty(texts, fc.boolean(), async (all, isRead) => {
        const path = `/feeds/a?format=${format}`;
        const plain = await follow(served, path);
        const peers = [await follow(served, path, gzip), await follow(served, path, gzip)];
        if (!isRead) for (const { socket } of peers) socket.pause();
        for (const text of all) await served.feeds.publish('a', text);
        for (const { socket } of peers) socket.resume();
        served.feeds.end('a');
        await Promise.all([plain, ...peers].map((peer) => peer.closed()));
        const whole = (text: string) => text.replace(/^: connection .*/, '');
        for (const peer of peers) expect(whole(decodedWhole(peer))).toBe(whole(Buffer.from(plain.body, 'latin1').toString()));
      }),
      { numRuns: 40 },
    );
    expect(served.feeds.counts()).toMatchObject({ open: 0 });
  });

  it('are handed over, say how they are encoded, and are so for those alone who accept it', async () => {
    await start();
    for (const accept of ['gzip', 'GZIP', '*', 'gzip, deflate, br, zstd', 'gzip;q=0.5', 'identity;q=0, gzip;q=0.1', 'identity;q=0, *']) {
      expect(await head(`Accept-Encoding: ${accept}`)).toMatch(/\r\ncontent-encoding: gzip(?=\r\n|$)/i);
    }
    for (const accept of ['', 'identity', 'br', 'gzip;q=0', 'gzip;q=0, *', 'gzip;q=0.5, identity', `gzip,${' '.repeat(2000)}br`]) {
      expect(await head(`Accept-Encoding: ${accept}`)).not.toMatch(/content-encoding/i);
    }
    const uncoded = await head();
    expect(uncoded).not.toMatch(/content-encoding/i);
    expect(uncoded).toMatch(/\r\nvary: accept-encoding(?=\r\n|$)/i);
    await follow(served, '/feeds/a', gzip);
    await until(() => served.feeds.counts().open === 1);
    expect(served.feeds.counts().handedOver).toBe(1);
  });

  it.each(['identity;q=0', '*;q=0', 'br, *;q=0'])('are refused to a client that accepts %s', async (accept) => {
    await start();
    const peer = await Peer.get(served.port, '/feeds/a', `Accept-Encoding: ${accept}`);
    await peer.sees('FEED_CODING');
    expect(peer.status).toBe(406);
    expect(served.feeds.counts().open).toBe(0);
  });

  it('have the same head for HEAD', async () => {
    await start();
    const peer = await Peer.to(served.port);
    peer.send(`HEAD /feeds/a HTTP/1.1\r\nHost: test\r\n${gzip}\r\n\r\n`);
    await peer.closed();
    const names = (text: string) => text.replace(/\r\n(feed-connection|date): .*/gi, '').toLowerCase();
    expect(names(peer.head)).toBe(names(await head(gzip)));
    expect(peer.body).toBe('');
  });

  it('are not there unless they are asked for', async () => {
    await start({ compress: undefined });
    expect(await head(gzip)).not.toMatch(/content-encoding|vary/i);
    expect(await head('Accept-Encoding: identity;q=0')).toMatch(/ 200 /);
  });

  it('keep what the application says of what its response varies by', async () => {
    served = await serveFeeds(platform, { compress: {} }, {}, (app) => app.enableCors({ origin: ['http://a.test'] }));
    expect((await head(gzip, 'Origin: http://a.test')).match(/\r\nvary: .*/gi)?.join()).toMatch(/origin.*accept-encoding/is);
  });

  it('can be decoded up to each message as soon as it has come', async () => {
    await start({ heartbeatMs: 50 });
    const peers: Peer[] = [];
    for (const format of formats) peers.push(await follow(served, `/feeds/a?format=${format}`, gzip));
    for (const text of ['short', long('one'), 'x'.repeat(70_000), long('two'), 'last']) {
      await served.feeds.publish('a', text);
      await Promise.all(peers.map((peer) => decodes(peer, text)));
    }
    await decodes(peers[1] as Peer, '\n:\n\n'); // a heartbeat
    served.feeds.end('a');
    for (const peer of peers) {
      await peer.closed();
      expect(peer.isComplete).toBe(true);
      expect(decodedWhole(peer)).toContain('last');
    }
  });

  it('are counted as they are sent, and have fewer bytes', async () => {
    await start();
    const peer = await follow(served, '/feeds/a?format=text', gzip);
    await served.feeds.publish('a', long('word'));
    await decodes(peer, long('word'));
    expect(served.feeds.counts().bytes).toBe(Buffer.byteLength(peer.body, 'latin1') - 10); // without gzip's header
    expect(served.feeds.counts().bytes).toBeLessThan(100);
  });

  it('are as they are for messages with fewer bytes, and never longer by more than the header of a block', async () => {
    await start();
    const peer = await follow(served, '/feeds/a?format=text', gzip);
    const noise = Array.from({ length: 500 }, (_, n) => String.fromCodePoint(33 + ((n * n * 7919 + n * 104_729) % 90))).join('');
    await served.feeds.publish('a', 'x'.repeat(98));
    await served.feeds.publish('a', noise);
    await decodes(peer, noise);
    expect(peer.body).toContain('x'.repeat(98));
    expect(Buffer.byteLength(peer.body, 'latin1')).toBeLessThanOrEqual(10 + 5 + 99 + 5 + 501);
  });

  it('begin with what is replayed, after the last message of a client that returns', async () => {
    await start();
    for (let n = 1; n <= 5; n += 1) await served.feeds.publish('a', long(`m${n}`));
    const first = await follow(served, '/feeds/a?since=earliest&format=sse', gzip);
    await decodes(first, long('m5'));
    const [, id] = /\nid: (.*)\ndata: m3 /.exec(decoded(first)) ?? [];
    const second = await follow(served, '/feeds/a?format=sse', gzip, `Last-Event-ID: ${id}`);
    await decodes(second, long('m5'));
    expect(decoded(second).match(/data: m\d/g)).toEqual(['data: m4', 'data: m5']);
    await served.feeds.finish('a');
    await second.closed();
    expect(decodedWhole(second)).toMatch(/\nevent: end\n/);
  });

  it('carry what a source emits, also to a client that reads late', async () => {
    await start({ bufferBytes: 1 << 26 });
    const peers = [await follow(served, '/own/a?format=text', gzip), await follow(served, '/own/b?format=text', gzip)];
    const [late] = peers as [Peer, Peer];
    late.socket.pause();
    const noise = () => Array.from({ length: 15_000 }, () => Math.random().toString(36).slice(2, 6)).join('');
    const items: string[] = [];
    while (served.feeds.counts().bufferedBytes === 0 || items.length < 20) {
      items.push(noise());
      said.next(items.at(-1));
      await new Promise(setImmediate);
    }
    late.socket.resume();
    said.complete();
    for (const peer of peers) {
      await peer.closed();
      expect(decodedWhole(peer)).toBe(`${items.join('\n')}\n`);
    }
  });

  it('are compressed once behind what compresses the responses of the application, and handed over', async () => {
    const adapter = adapterOf(platform);
    if (adapter instanceof FastifyAdapter) await adapter.getInstance().register(compressEverything as never, { threshold: 0 } as never);
    served = await serveFeeds(adapter, { compress: { minBytes: 100 } }, { controllers: [OwnController] }, (app) => {
      if (platform === 'express') app.use(compression({ threshold: 0 }));
    });
    for (const accept of ['gzip', 'br', 'br, gzip;q=0.5']) {
      const peer = await follow(served, '/feeds/a?format=text', `Accept-Encoding: ${accept}`);
      await served.feeds.publish('a', long(accept));
      if (accept === 'br') await peer.sees(long(accept));
      else await decodes(peer, long(accept));
      expect(peer.head.match(/\r\ncontent-encoding: \w+/gi)?.length ?? 0).toBe(accept === 'br' ? 0 : 1);
    }
    expect(served.feeds.counts()).toMatchObject({ open: 3, handedOver: 3 });
    const page = await fetch(`${served.url}/own`, { headers: { 'accept-encoding': 'gzip' } });
    expect(page.headers.get('content-encoding')).toBe('gzip');
    expect(await page.text()).toBe(JSON.stringify({ page: long('page') }));
  });

  it('are left to an application that encodes them itself', async () => {
    served = await serveFeeds(platform, { compress: { minBytes: 100 } }, {}, (app) =>
      app.use((_request: IncomingMessage, response: ServerResponse, next: () => void) => {
        response.setHeader('Content-Encoding', 'identity');
        next();
      }),
    );
    const peer = await follow(served, '/feeds/a?format=text', gzip);
    await served.feeds.publish('a', long('word'));
    await peer.sees(long('word'));
    expect(peer.head).not.toMatch(/gzip/);
  });

  it('end without their checksum where they are incomplete', async () => {
    await start();
    const peer = await follow(served, '/own/a?format=sse', gzip);
    said.next(long('word'));
    said.error(new Error('broken'));
    await peer.closed();
    expect(peer.isComplete).toBe(false);
    expect(decoded(peer)).toMatch(/data: word .*\n\nevent: error\ndata: .*INTERNAL/s);
    expect(() => decodedWhole(peer)).toThrow('unexpected end of file');
  });

  it('tell a client to come back when they are drained', async () => {
    await start();
    const peer = await follow(served, '/feeds/a?format=sse', gzip);
    await served.app.close();
    await peer.closed();
    expect(decodedWhole(peer)).toMatch(/\n\nretry: \d+\n\n$/);
  });

  it('end a connection that takes too little as slow, by the bytes that wait', async () => {
    await start({ bufferBytes: 20_000 });
    const peer = await follow(served, '/feeds/a?format=text', gzip);
    peer.socket.pause();
    while (served.feeds.counts().open > 0) {
      await served.feeds.publish('a', Array.from({ length: 5000 }, () => Math.random().toString(36).slice(2, 6)).join(''));
      await new Promise(setImmediate);
    }
    expect(served.feeds.counts().closed.slow).toBe(1);
  });

  it('go to a client of HTTP/1.0 without chunks', async () => {
    await start();
    const peer = await Peer.to(served.port);
    peer.send(`GET /feeds/a?format=text HTTP/1.0\r\n${gzip}\r\n\r\n`);
    await until(() => served.feeds.counts().open === 1);
    await served.feeds.publish('a', long('word'));
    await decodes(peer, long('word'));
    served.feeds.end('a');
    await peer.closed();
    expect(decodedWhole(peer)).toBe(`${long('word')}\n`);
  });

  it('come whole where they are not handed over', async () => {
    await start({ handover: false });
    const peer = await follow(served, '/feeds/a?format=text', gzip);
    await served.feeds.publish('a', long('word'));
    await decodes(peer, long('word'));
    served.feeds.end('a');
    await peer.closed();
    expect(peer.isComplete).toBe(true);
    expect(decodedWhole(peer)).toBe(`${long('word')}\n`);
  });

  it('are read by fetch() and EventSource, message by message, whoever made them accept it', async () => {
    await start();
    const response = await fetch(`${served.url}/feeds/a?format=text`);
    expect(response.headers.get('content-encoding')).toBe('gzip');
    const reader = (response.body as ReadableStream<Uint8Array>).pipeThrough(new TextDecoderStream()).getReader();
    const source = new EventSource(`${served.url}/feeds/a`);
    atEnd(() => source.close());
    await once(source as never, 'open');
    await until(() => served.feeds.counts().open === 2);
    for (let n = 0; n < 5; n += 1) {
      const heard = once(source as never, 'message');
      await served.feeds.publish('a', long(`m${n}`));
      expect((await reader.read()).value).toBe(`${long(`m${n}`)}\n`);
      expect((await heard)[0]).toMatchObject({ data: long(`m${n}`) });
    }
    served.feeds.end('a');
    expect(await reader.read()).toMatchObject({ done: true });
  });
});

it('are streams of HTTP/2 as well', async () => {
  const { app, feeds } = await serveFeeds(new FastifyAdapter({ http2: true } as object), { compress: {} });
  atEnd(() => app.close());
  const client = connect(`http://127.0.0.1:${(app.getHttpServer().address() as AddressInfo).port}`);
  atEnd(() => client.destroy());
  const stream = client.request({ ':path': '/feeds/a?format=text', 'accept-encoding': 'gzip' }).setEncoding('latin1');
  const peer = { body: '' } as Peer;
  stream.on('data', (bytes: string) => Object.assign(peer, { body: peer.body + bytes }));
  const [headers] = await once(stream, 'response');
  expect(headers).toMatchObject({ 'content-encoding': 'gzip', vary: 'Accept-Encoding' });
  await until(() => feeds.counts().open === 1);
  await feeds.publish('a', long('word'));
  await decodes(peer, long('word'));
  feeds.end('a');
  await once(stream, 'close');
  expect(decodedWhole(peer)).toBe(`${long('word')}\n`);
});
