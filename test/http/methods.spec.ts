import {
  BadRequestException,
  Body,
  Controller,
  HttpCode,
  Param,
  ParseIntPipe,
  RequestMethod,
  SseSignal,
  UseGuards,
  UseInterceptors,
  ValidationPipe,
} from '@nestjs/common';
import { IsString } from 'class-validator';
import { concat, NEVER, of } from 'rxjs';
import { Feed, FeedAuthGuard, FeedSignal } from '../../src/index.js';
import { Peer } from '../support/peer.js';
import { asJson, closeAll, platforms, publishKey, type Served, serveFeeds, until } from '../support/serve.js';
import { jwtSecret, sign } from '../support/tokens.js';

class Prompt {
  @IsString()
  prompt!: string;
}

const { POST, QUERY } = RequestMethod;
const signals: AbortSignal[] = [];
let running = 0;
let isHandling = false;

async function* words(text: string, signal: AbortSignal) {
  running += 1;
  signals.push(signal);
  try {
    yield* text.split(' ');
    await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
  } finally {
    running -= 1;
  }
}

@Controller('answers')
class AnswersController {
  @Feed(':id', { method: POST })
  answer(@Param('id', ParseIntPipe) id: number, @Body(ValidationPipe) { prompt }: Prompt) {
    if (prompt === '') throw new BadRequestException('ask something');
    return concat(of(`${id}: ${prompt}`), NEVER);
  }

  @Feed(':id/query', { method: QUERY })
  query(@Body() { prompt }: Prompt) {
    return of(prompt);
  }

  @Feed(':id/words', { method: POST })
  words(@Body() { prompt }: Prompt, @SseSignal() signal: AbortSignal) {
    return words(prompt, signal);
  }

  @Feed(':id/both')
  @UseInterceptors({ intercept: (_context: unknown, next: { handle(): never }) => next.handle() })
  both(@FeedSignal() own: AbortSignal, @SseSignal() nest: AbortSignal) {
    return concat(of(own === nest), NEVER);
  }

  @Feed(':id/slow', { method: POST })
  async slow(@SseSignal() signal: AbortSignal) {
    isHandling = true;
    await new Promise((resolve) => signal.addEventListener('abort', resolve));
    isHandling = false;
    return NEVER;
  }

  @Feed(':id/run', { method: POST, run: true })
  async run(@Body() { prompt }: Prompt, @SseSignal() signal: AbortSignal) {
    await new Promise(setImmediate);
    return words(prompt, signal);
  }

  /** Nothing reads such a body. */
  @Feed(':id/bytes', { method: POST })
  bytes() {
    return concat(of('began'), NEVER);
  }

  @HttpCode(202)
  @Feed(':id/accepted', { method: POST })
  accepted() {
    return of('x');
  }

  @Feed(':id/published', { method: POST, feed: ({ params }) => `published/${params.id}` })
  @UseGuards(FeedAuthGuard)
  published() {}

  @Feed(':id/guarded')
  @UseGuards(FeedAuthGuard)
  guarded() {}
}

const controllers = [AnswersController];

/** Sends a request with a body, in one packet or in two. */
async function send(port: number, method: string, path: string, body: string, ...headers: string[]): Promise<Peer> {
  const peer = await Peer.to(port);
  const lines = [`${method} ${path} HTTP/1.1`, 'Host: test', `Content-Length: ${Buffer.byteLength(body)}`, ...headers];
  peer.send(`${lines.join('\r\n')}\r\n\r\n${body}`);
  return peer;
}
const json = 'Content-Type: application/json';
const ask = (prompt: string) => JSON.stringify({ prompt });

describe.each(platforms.flatMap((platform) => [true, false].map((handover) => [platform, handover] as const)))(
  '@Feed() with a method, on %s, handed over: %s,',
  (platform, handover) => {
    let served: Served;
    beforeAll(async () => {
      served = await serveFeeds(platform, { handover, jwtSecret, publishKey }, { controllers }, (app) => app.enableCors());
    });
    afterAll(closeAll);
    afterEach(async () => {
      Peer.leaveAll();
      await until(() => served.feeds.counts().open === 0 && running === 0);
    });
    const isOpen = (count = 1) => until(() => served.feeds.counts().open === count);

    it('opens a feed for a POST whose JSON body the application has read and validated', async () => {
      const peer = await send(served.port, 'POST', '/answers/1', ask('why? \r\n\r\n'), json);
      await peer.sees('why?');
      expect(peer.status).toBe(200);
      expect(peer.body).toBe('1: why? \r\n\r\n\n');
      expect(served.feeds.counts()).toMatchObject({ open: 1, handedOver: handover ? 1 : 0 });
      peer.leave();
      await isOpen(0);
    });

    it('opens one where the body comes later, in pieces, with chunks, or on a connection that has served another request', async () => {
      const peer = await Peer.to(served.port);
      peer.send('GET /nowhere HTTP/1.1\r\nHost: test\r\n\r\n');
      await peer.sees('404');
      peer.send(`POST /answers/2 HTTP/1.1\r\nHost: test\r\n${json}\r\nTransfer-Encoding: chunked\r\n\r\n`);
      await new Promise(setImmediate);
      for (const piece of [ask('in pieces').slice(0, 5), ask('in pieces').slice(5)]) {
        peer.send(`${piece.length.toString(16)}\r\n${piece}\r\n`);
        await new Promise(setImmediate);
      }
      peer.send('0\r\n\r\n');
      await peer.sees('2: in pieces');
      expect(served.feeds.counts()).toMatchObject({ open: 1, handedOver: handover ? 1 : 0 });
    });

    it('answers what pipes, the handler and its parsers reject as any route does', async () => {
      const { opened } = served.feeds.counts();
      const post = (path: string, body: string) => fetch(served.url + path, { method: 'POST', headers: asJson, body });
      expect((await post('/answers/x', ask('a'))).status).toBe(400);
      expect((await post('/answers/1', '{}')).status).toBe(400);
      expect((await post('/answers/1', ask(''))).status).toBe(400);
      expect((await post('/answers/1', '{')).status).toBe(400);
      expect((await post('/answers/1?format=no', ask('a'))).status).toBe(406);
      expect((await fetch(`${served.url}/answers/1`)).status).toBe(404);
      expect((await fetch(`${served.url}/answers/1`, { method: 'HEAD' })).status).toBe(404);
      expect(served.feeds.counts().opened).toBe(opened);
    });

    it('lets a page of another origin ask first, where the application does', async () => {
      const headers = { origin: 'https://other.example', 'access-control-request-method': 'POST' };
      const preflight = await fetch(`${served.url}/answers/1`, { method: 'OPTIONS', headers });
      expect(preflight.status).toBe(204);
      expect(preflight.headers.get('access-control-allow-methods')).toContain('POST');
      const answer = await fetch(`${served.url}/answers/1`, { method: 'POST', headers: { ...asJson, ...headers }, body: ask('a') });
      expect(answer.headers.get('access-control-allow-origin')).toBe('*');
      await answer.body?.cancel();
    });

    it('answers QUERY, and another status where the route has one', async () => {
      const peer = await send(served.port, 'QUERY', '/answers/1/query', ask('asked'), json);
      await peer.closed();
      expect([peer.status, peer.body, peer.isComplete]).toEqual([200, 'asked\n', true]);
      const accepted = await send(served.port, 'POST', '/answers/1/accepted', '');
      await accepted.closed();
      expect([accepted.status, accepted.body]).toEqual([202, 'x\n']);
    });

    it("aborts the signal of Nest's @SseSignal() when the client leaves, while the generator waits", async () => {
      signals.length = 0;
      const peer = await send(served.port, 'POST', '/answers/1/words', ask('a b'), json);
      await peer.sees('b\n');
      expect(signals[0]?.aborted).toBe(false);
      peer.leave();
      await until(() => running === 0);
      expect(signals[0]?.aborted).toBe(true);
    });

    it('aborts it when the client leaves while the handler is awaited', async () => {
      const { opened } = served.feeds.counts();
      const peer = await send(served.port, 'POST', '/answers/1/slow', '');
      await until(() => isHandling);
      peer.leave();
      await until(() => !isHandling);
      await isOpen(0);
      expect(served.feeds.counts().opened).toBe(opened);
    });

    it('leaves a run alone when its client leaves: another one with the same body gets all of it', async () => {
      signals.length = 0;
      const path = `/answers/${platform}-${handover}/run`;
      const first = await send(served.port, 'POST', path, ask('a b'), json);
      await first.sees('b\n');
      first.leave();
      await isOpen(0);
      const second = await send(served.port, 'POST', path, ask('a b'), json);
      await second.sees('b\n');
      expect(second.body).toBe('a\nb\n');
      expect(signals.map(({ aborted }) => aborted)).toEqual([false]);
      await served.feeds.stop(path.slice(1));
      await second.closed();
      expect([second.isComplete, signals[0]?.aborted]).toEqual([true, true]);
    });

    it('has one signal for a connection, also behind interceptors', async () => {
      const peer = await Peer.get(served.port, '/answers/1/both');
      await peer.sees('true\n');
    });

    it('notices that a client leaves whose body nothing has read', async () => {
      const bytes = 'x'.repeat(1 << 20);
      const peer = await send(served.port, 'POST', '/answers/1/bytes', bytes, 'Content-Type: application/octet-stream');
      if (platform === 'fastify') return peer.sees('HTTP/1.1 415');
      await peer.sees('began');
      await isOpen();
      peer.leave();
      await isOpen(0);
    });

    it('reads for the auth guard, so that a token which may read is enough', async () => {
      const reads = `Authorization: Bearer ${await sign({ feeds: 'published/*' })}`;
      const peer = await send(served.port, 'POST', '/answers/1/published', '', reads);
      await isOpen();
      await served.feeds.publish('published/1', 'hello');
      await peer.sees('hello');
      const of = async (...headers: string[]) => {
        const other = await send(served.port, 'POST', '/answers/1/published', '', 'Connection: close', ...headers);
        await other.closed();
        return other.status;
      };
      expect(await of()).toBe(401);
      expect(await of(`Authorization: Bearer ${await sign({ publish: '*', feeds: 'other' })}`)).toBe(403);
      expect(await of(`Cookie: feed_token=${await sign({ feeds: '*' })}`, 'Origin: https://other.example')).toBe(403);
      // Publishing is not reading.
      const publishes = await send(served.port, 'POST', '/feeds/published/1', 'x', 'Content-Type: text/plain', 'Connection: close', reads);
      await publishes.closed();
      expect(publishes.status).toBe(403);
    });
  },
);

it('rejects methods with which no feed can be opened', () => {
  expect(() => Feed('x', { method: RequestMethod.PUT })).toThrow('@Feed() takes GET, POST or QUERY as its method, not PUT');
});
