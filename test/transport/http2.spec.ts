import { once } from 'node:events';
import { connect } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { Controller } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { Feed, FeedService } from '../../src/index.js';
import { atEnd } from '../support/ends.js';
import { feedModule, until } from '../support/serve.js';

@Controller('numbers')
class NumbersController {
  @Feed()
  async *follow(): AsyncGenerator<string> {
    for (let n = 0; n < 1000; n += 1) yield `${n} ${'x'.repeat(1000)}`;
  }
}

it('serves several feeds on one HTTP/2 connection, without the handover', async () => {
  const root = { module: class Root {}, imports: [feedModule({ intervalMs: 20 })], controllers: [NumbersController] };
  const adapter = new FastifyAdapter({ http2: true } as object);
  const app = await NestFactory.create<NestFastifyApplication>(root, adapter, { logger: false });
  await app.listen(0, '127.0.0.1');
  const feeds = app.get(FeedService);
  const client = connect(`http://127.0.0.1:${(app.getHttpServer().address() as AddressInfo).port}`);
  const streams = [1, 2].map((id) => {
    const stream = client.request({ ':path': `/feeds/${id}`, accept: 'text/event-stream' }).setEncoding('utf8');
    const seen = { stream, text: '' };
    stream.on('data', (text: string) => {
      seen.text += text;
    });
    return seen;
  });
  await until(() => streams.every(({ text }) => text.includes('Chunk 3 ')));
  expect(streams[1]?.text).toMatch(
    /^: connection \S+\n\nid: \w+-0\n\ndata: Nestconntest welcomes you! Your Id: \/feeds\/2\n\ndata: Chunk 1 for id \/feeds\/2\n\n/,
  );
  expect(feeds.counts()).toMatchObject({ open: 2, handedOver: 0 });
  await until(() => feeds.counts().bufferedBytes === 0);
  streams[0]?.stream.close();
  await until(() => feeds.status.open === 1);
  expect(feeds.counts().closed.client).toBe(1);

  // However a client that closes one is timed.
  for (let n = 0; n < 200; n += 1) {
    const leaving = client.request({ ':path': `/feeds/${n}` });
    await once(leaving, n % 2 === 0 ? 'response' : 'data');
    leaving.close();
  }
  await until(() => feeds.status.open === 1);
  feeds.end('2');
  if (!streams[1]?.stream.closed) await once(streams[1]?.stream as never, 'close');
  await until(() => feeds.status.open === 0);

  const iterable = client.request({ ':path': '/numbers' }).setEncoding('utf8');
  let lines = '';
  for await (const text of iterable) lines += text;
  expect(
    lines
      .split('\n')
      .slice(0, -1)
      .map((line) => Number.parseInt(line, 10)),
  ).toEqual(Array.from({ length: 1000 }, (_, n) => n));

  // The client goes on holding its session, on which nothing is open any more.
  await app.close();
  await until(() => client.closed);
});

it('ends a stream that its client does not read as stalled, beside another one of the session that is read', async () => {
  const root = { module: class Root {}, imports: [feedModule({ stallMs: 400, bufferBytes: 1_000_000 })] };
  const app = await NestFactory.create<NestFastifyApplication>(root, new FastifyAdapter({ http2: true } as object), { logger: false });
  await app.listen(0, '127.0.0.1');
  atEnd(() => app.close());
  const feeds = app.get(FeedService);
  const client = connect(`http://127.0.0.1:${(app.getHttpServer().address() as AddressInfo).port}`);
  atEnd(() => client.destroy());
  const stalled = client.request({ ':path': '/feeds/stalled' });
  const read = client.request({ ':path': '/feeds/read' }).setEncoding('utf8');
  let seen = 0;
  read.on('data', (text: string) => {
    seen += text.length;
  });
  stalled.on('error', () => {});
  await Promise.all([once(stalled, 'response'), once(read, 'response')]);
  // More than the client's window: the rest waits here.
  await feeds.publish('stalled', 'x'.repeat(300_000));
  await until(() => feeds.count('stalled').bufferedBytes > 0);
  let published = 0;
  while (feeds.counts().closed.stalled === 0 && published < 1000) {
    await feeds.publish('read', 'y');
    published += 1;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  expect(feeds.counts()).toMatchObject({ open: 1, closed: { stalled: 1 } });
  await until(() => seen === 2 * published);
});

it('answers history and long polls on streams of HTTP/2, and sees that a client closes its stream', async () => {
  const root = { module: class Root {}, imports: [feedModule()] };
  const app = await NestFactory.create<NestFastifyApplication>(root, new FastifyAdapter({ http2: true } as object), { logger: false });
  await app.listen(0, '127.0.0.1');
  const feeds = app.get(FeedService);
  const client = connect(`http://127.0.0.1:${(app.getHttpServer().address() as AddressInfo).port}`);
  atEnd(() => void client.destroy());
  const read = async (path: string) => {
    let text = '';
    for await (const part of client.request({ ':path': path }).setEncoding('utf8')) text += part;
    return JSON.parse(text);
  };
  const first = await feeds.publish('a', 1);
  expect(await read('/feeds/a?mode=once')).toMatchObject({ messages: [first] });
  const polls = [read('/feeds/a?mode=poll'), read('/feeds/a?mode=poll')];
  const leaving = client.request({ ':path': '/feeds/a?mode=poll' });
  await until(() => feeds.status.open === 3);
  leaving.close();
  await until(() => feeds.status.open === 2);
  const second = await feeds.publish('a', 2);
  for (const poll of polls) expect(await poll).toMatchObject({ messages: [second] });
  await until(() => feeds.status.open === 0);
  expect(feeds.counts().closed).toMatchObject({ client: 1, completed: 2 });
  client.close();
  await app.close();
});

it('answers with history in one body, however large', async () => {
  const root = { module: class Root {}, imports: [feedModule()] };
  const app = await NestFactory.create<NestFastifyApplication>(root, new FastifyAdapter({ http2: true } as object), { logger: false });
  await app.listen(0, '127.0.0.1');
  atEnd(() => app.close());
  const texts = Array.from({ length: 50 }, (_, n) => `${n}${'x'.repeat(10_000)}`);
  for (const each of texts) await app.get(FeedService).publish('a', each);
  const client = connect(`http://127.0.0.1:${(app.getHttpServer().address() as AddressInfo).port}`);
  atEnd(() => client.destroy());
  let body = '';
  for await (const part of client.request({ ':path': '/feeds/a?mode=once' }).setEncoding('utf8')) body += part;
  expect((JSON.parse(body) as { messages: { data: string }[] }).messages.map(({ data }) => data)).toEqual(texts);
});
