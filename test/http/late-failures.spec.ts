import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { connect, constants } from 'node:http2';
import {
  type CallHandler,
  ConflictException,
  Controller,
  type ExecutionContext,
  HttpException,
  type NestInterceptor,
  Param,
  UnauthorizedException,
  UseInterceptors,
} from '@nestjs/common';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { EventSource } from 'eventsource';
import { catchError, concat, defer, map, type Observable, of, Subject, throwError } from 'rxjs';
import { MemoryBroker } from '../../src/feed/broker/memory/memory-broker.js';
import { type Broker, BrokerUnavailableError, Feed, FeedException, type History } from '../../src/index.js';
import { atEnd } from '../support/ends.js';
import { expectNoEscapes } from '../support/escapes.js';
import { Peer } from '../support/peer.js';
import { closeAll, follow, platforms, type Served, serveFeeds, until } from '../support/serve.js';

let said = new Subject<unknown>();
const neutral = { code: 'INTERNAL', message: 'The source has failed.' };

const passes: NestInterceptor = { intercept: (_context, next) => next.handle().pipe(map((item) => `${item}!`)) };
const rewords: NestInterceptor = {
  intercept: (_context: ExecutionContext, next: CallHandler): Observable<unknown> =>
    next.handle().pipe(catchError((error) => throwError(() => new ConflictException(`reworded: ${error.message}`)))),
};

@Controller('own')
class OwnController {
  @Feed(':id')
  own() {
    return said;
  }

  @Feed(':id/iterable')
  async *iterable(@Param('id') id: string) {
    yield 'first';
    await new Promise(setImmediate);
    await new Promise(setImmediate);
    throw new HttpException({ code: 'OUT_OF_CREDIT', message: `No more credit, ${id}.` }, 402);
  }

  @Feed(':id/intercepted')
  @UseInterceptors(passes)
  intercepted() {
    return said;
  }

  @Feed(':id/run', { run: true })
  run() {
    return said;
  }

  @Feed(':id/reworded')
  @UseInterceptors(rewords)
  reworded() {
    return said;
  }
}

const controllers = [OwnController];

/** What applications throw, or libraries for them, that is no exception as Nest makes them. */
const strange: Record<string, () => unknown> = {
  'a response that is null': () => new HttpException(null as never, 502),
  'no response': () => new HttpException(undefined as never, 502),
  'a number as its response': () => new HttpException(5 as never, 502),
  'an array as its response': () => new HttpException(['x'] as never, 502),
  'a response that throws': () =>
    new HttpException(
      {
        get code(): string {
          throw new Error('a password');
        },
      },
      502,
    ),
  'a message that is no text': () => Object.assign(new HttpException({}, 502), { message: { a: ['password'] } }),
  'a stack that throws': () =>
    Object.defineProperty(new Error('a password'), 'stack', {
      get: () => {
        throw new Error('x');
      },
    }),
  'methods that throw': () => Object.assign(new HttpException('a password', 502), { getStatus: thrower, getResponse: thrower }),
  'no prototype': () => Object.create(null),
  nothing: () => undefined,
  'a symbol': () => Symbol('a password'),
};
function thrower(): never {
  throw new Error('a password');
}

expectNoEscapes(async () => {
  said = new Subject();
  await closeAll();
});

describe.each(platforms.flatMap((platform) => [true, false].map((handover) => [platform, handover] as const)))(
  'a source that fails after the first byte, on %s, handed over: %s,',
  (platform, handover) => {
    let served: Served;
    beforeEach(async () => {
      served = await serveFeeds(platform, { source: () => said, handover, bufferBytes: 1 << 22 }, { controllers });
    });

    it('is told in no more words than an answer would have', async () => {
      const told = async (error: unknown) => {
        said = new Subject();
        const peer = await follow(served, '/feeds/a?format=ndjson');
        said.next('first');
        await peer.sees('first');
        said.error(error);
        await peer.closed();
        return peer.lines.at(-1)?.data;
      };
      expect(await told(new UnauthorizedException(new Error('a password')))).toEqual({ message: 'Unauthorized' });
      expect(await told(new HttpException('as it is', 418))).toEqual({ message: 'as it is' });
      expect(await told('a password')).toEqual(neutral);
      expect(await told(new BrokerUnavailableError('a password'))).toMatchObject({ code: 'FEED_BROKER' });
    });

    it.each(['/feeds/a', '/own/a', '/own/a/intercepted'])(
      'is told in each format that can, before the body of %s ends incomplete',
      async (path) => {
        const formats = ['sse', 'ndjson', 'text'];
        const peers = await Promise.all(formats.map((format) => Peer.get(served.port, `${path}?format=${format}`)));
        await until(() => served.feeds.counts().opened === 3);
        expect(served.feeds.counts().handedOver).toBe(handover ? 3 : 0);
        said.next('first');
        await Promise.all(peers.map((peer) => peer.sees('first')));
        const [sse, ndjson, text] = peers as [Peer, Peer, Peer];
        const before = peers.map(({ body }) => body);
        said.error(new Error('a password'));
        await Promise.all(peers.map((peer) => peer.closed()));
        expect(sse.body).toBe(`${before[0]}event: error\ndata: ${JSON.stringify(neutral)}\n\n`);
        expect(ndjson.lines.at(-1)).toEqual({ type: 'error', data: neutral });
        expect(text.body).toBe(before[2]);
        for (const peer of peers) expect(peer.isComplete).toBe(false);
        await until(() => served.feeds.counts().closed.error === 3);
      },
    );

    it("is told in the words, and by the code, of the application's exception", async () => {
      const sse = await Peer.get(served.port, '/own/ü/iterable?format=sse'.replace('ü', '%C3%BC'));
      await sse.closed();
      expect(Buffer.from(sse.body, 'latin1').toString()).toMatch(
        /data: first\n\nevent: error\ndata: {"code":"OUT_OF_CREDIT","message":"No more credit, ü\."}\n\n$/,
      );
      expect(sse.isComplete).toBe(false);
    });

    it('is told as the interceptors have it', async () => {
      const peer = await follow(served, '/own/a/reworded?format=ndjson');
      said.next('first');
      await peer.sees('first');
      said.error(new Error('the cause'));
      await peer.closed();
      expect(peer.lines.at(-1)).toEqual({ type: 'error', data: { message: 'reworded: the cause' } });
    });

    it.each(['/feeds/a', '/own/a', '/own/a/intercepted', '/own/{}/run'])(
      'is told, and the process goes on, whatever %s fails with',
      async (path) => {
        const isRun = path.endsWith('run');
        const followers: [() => unknown, Subject<unknown>, Peer][] = [];
        for (const [n, make] of Object.values(strange).entries()) {
          said = new Subject();
          const peer = await follow(served, `${path.replace('{}', `${n}`)}?format=ndjson`);
          await until(() => said.observed);
          said.next('first');
          followers.push([make, said, peer]);
        }
        for (const [make, source, peer] of followers) {
          await peer.sees('first');
          source.error(make());
        }
        for (const [, , peer] of followers) {
          await peer.closed();
          expect(peer.lines.at(-1)).toMatchObject({ type: isRun ? 'end' : 'error', data: { message: expect.any(String) } });
          expect(peer.body).not.toMatch(/password/);
          expect(peer.isComplete).toBe(isRun);
        }
      },
    );

    it('is told behind all that waits for a slow client', async () => {
      const source = new Subject<string>();
      const slow = await serveFeeds(platform, { source: () => source, handover, bufferBytes: 1 << 24 });
      const peer = await follow(slow, '/feeds/a?format=ndjson');
      source.next('first');
      await peer.sees('first');
      peer.socket.pause();
      let sent = 1;
      for (; slow.feeds.counts().bufferedBytes < 1 << 20; sent += 1) source.next('x'.repeat(60_000));
      source.error(new FeedException('FEED_BROKER'));
      peer.socket.resume();
      await peer.closed();
      expect(peer.lines).toHaveLength(sent + 1);
      expect(peer.lines.at(-1)).toEqual({ type: 'error', data: { code: 'FEED_BROKER', message: 'The message broker is unavailable.' } });
      expect(peer.isComplete).toBe(false);
    });

    it('is told where it was the broker, in the middle of a replay', async () => {
      let isAway = false;
      class FailingBroker extends MemoryBroker {
        override async read(...args: Parameters<Broker['read']>): Promise<History> {
          if (isAway) throw new BrokerUnavailableError('redis://user:password@host is gone');
          return super.read(...args);
        }
      }
      const bounds = { historyBytes: 1 << 26, historyLength: 1000 };
      const failing = await serveFeeds(platform, { ...bounds, handover, broker: (context) => new FailingBroker(context) });
      for (let n = 1; n <= 200; n += 1) await failing.feeds.publish('a', `${n} ${'x'.repeat(60_000)}`);
      const peer = await follow(failing, '/feeds/a?since=earliest&format=ndjson');
      isAway = true;
      await peer.closed();
      const numbers = peer.lines.slice(0, -1).map(({ data }) => Number.parseInt(`${data}`, 10));
      expect(numbers.length).toBeGreaterThan(0);
      expect(numbers).toEqual(numbers.map((_, n) => n + 1));
      expect(peer.lines.at(-1)).toEqual({ type: 'error', data: { code: 'FEED_BROKER', message: 'The message broker is unavailable.' } });
      expect(peer.isComplete).toBe(false);
    });
  },
);

it.each(platforms)('is told behind all that waits for a slow client where middleware has replaced write(), on %s', async (platform) => {
  const source = new Subject<string>();
  const served = await serveFeeds(platform, { source: () => source, bufferBytes: 1 << 24 }, {}, (app) =>
    app.use((_request: IncomingMessage, response: ServerResponse, next: () => void) => {
      const { write } = response;
      response.setHeader('Cache-Control', 'no-store');
      response.write = ((chunk: string, encoding: BufferEncoding) => write.call(response, chunk, encoding)) as typeof write;
      next();
    }),
  );
  const peer = await follow(served, '/feeds/a?format=ndjson');
  source.next('first');
  await peer.sees('first');
  expect(served.feeds.counts()).toMatchObject({ open: 1, handedOver: 0 });
  peer.socket.pause();
  let sent = 1;
  for (; served.feeds.counts().bufferedBytes < 1 << 20; sent += 1) source.next('x'.repeat(60_000));
  source.error(new Error('x'));
  peer.socket.resume();
  await peer.closed();
  expect(peer.lines).toHaveLength(sent + 1);
  expect(peer.lines.at(-1)).toEqual({ type: 'error', data: neutral });
  expect(peer.isComplete).toBe(false);
  await until(() => served.feeds.counts().closed.error === 1);
});

it('an EventSource gets it as the data of an error, and comes back', async () => {
  const served = await serveFeeds('express', {
    source: () =>
      concat(
        of({ retry: 10, data: 'first' }),
        defer(() => said),
      ),
  });
  const source = new EventSource(`${served.url}/feeds/a?format=sse`);
  atEnd(async () => source.close());
  const errors: unknown[] = [];
  source.addEventListener('error', (event) => errors.push((event as unknown as MessageEvent).data));
  await until(() => served.feeds.counts().opened === 1);
  said.next({ type: 'a\nb', data: '' });
  await until(() => served.feeds.counts().opened === 2);
  expect(errors).toEqual([JSON.stringify(neutral), undefined]);
});

it('tells an HTTP/2 client, whose stream is then reset', async () => {
  const adapter = new FastifyAdapter({ http2: true } as object);
  const served = await serveFeeds(adapter, { source: () => said });
  const client = connect(served.url);
  atEnd(async () => client.destroy());
  const stream = client.request({ ':path': '/feeds/a?format=sse' }).setEncoding('utf8');
  let text = '';
  stream.on('data', (chunk: string) => {
    text += chunk;
  });
  stream.on('error', () => {});
  await once(stream, 'response');
  said.next('first');
  await until(() => text.includes('first'));
  said.next({ type: 'a\nb', data: '' });
  await until(() => stream.closed);
  expect(text.endsWith(`event: error\ndata: ${JSON.stringify(neutral)}\n\n`)).toBe(true);
  expect(stream.rstCode).toBe(constants.NGHTTP2_INTERNAL_ERROR);
});
