import { Body, Controller, ForbiddenException, Get, Param, RequestMethod } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { NEVER } from 'rxjs';
import { Feed, type FeedMessage, FeedService, FeedSignal } from '../../src/index.js';
import { FeedTimeoutError, FollowError, follow } from '../../src/testing/index.js';
import { adapterOf, closeAll, feedModule, platforms, serveFeeds, until } from '../support/serve.js';

@Controller('own')
class OwnController {
  @Feed('quiet')
  quiet() {
    return NEVER;
  }

  @Feed('broken')
  async *broken() {
    yield 'a';
    await new Promise((resolve) => setImmediate(resolve));
    throw new Error('of the source');
  }

  @Feed('forbidden')
  forbidden() {
    throw new ForbiddenException('Not you.');
  }

  @Feed('late')
  async late(@FeedSignal() signal: AbortSignal) {
    await new Promise((resolve) => signal.addEventListener('abort', resolve));
  }

  @Feed('long/:times')
  async *long(@Param('times') times: string) {
    for (let n = 0; n < Number(times); n += 1) yield { n, text: '€'.repeat(1000) };
  }

  @Feed('answers', { method: RequestMethod.POST })
  *answer(@Body() { prompt }: { prompt: string }) {
    yield { answer: prompt };
  }

  @Get('plain')
  plain() {
    return { id: '7' };
  }
}

/** What a promise is rejected with. */
async function rejected<E extends Error>(promise: Promise<unknown>, type: new (...args: never[]) => E): Promise<E> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(type);
  return error as E;
}

afterEach(closeAll);

describe.each(platforms)('follow() on %s', (platform) => {
  const serveOwn = () => serveFeeds(platform, { drainMs: 0 }, { controllers: [OwnController] });

  it('has an application listen, and gives what is published from then on', async () => {
    class Root {}
    const module = { module: Root, imports: [feedModule({ drainMs: 0 })] };
    const app = await NestFactory.create(module, adapterOf(platform), { logger: false });
    try {
      const [messages, others] = await Promise.all([follow(app, 'feeds/a'), follow(app, '/feeds/b')]);
      const feeds = app.get(FeedService);
      const published = [await feeds.publish('a', { n: 1 }, { type: 'one' }), await feeds.publish('a', 'text')];
      expect([(await messages.next()).value, (await messages.next()).value]).toEqual(published);
      await feeds.publish('b', 'other');
      expect((await others.next()).value).toMatchObject({ feed: 'b', data: 'other' });
      await Promise.all([messages.close(), others.close()]);
      await until(() => feeds.counts().open === 0);
    } finally {
      await app.close();
    }
  });

  it('follows below a URL, with headers', async () => {
    const { url, feeds } = await serveOwn();
    const first = await feeds.publish('orders/7', 1);
    await feeds.publish('orders/7', 2);
    const messages = await follow(`${url}/feeds/`, '/orders/7', { headers: { 'Last-Event-ID': first.id as string } });
    expect((await messages.next()).value).toMatchObject({ data: 2 });
    const resumed = await follow(new URL(url), 'feeds/orders/7?since=earliest&marks=1');
    expect((await resumed.next()).value).toMatchObject({ data: 1 });
  });

  it('sends a body to routes of other methods', async () => {
    const { app } = await serveOwn();
    const messages = await follow<{ answer: string }>(app, '/own/answers', { body: { prompt: 'why €?' } });
    expect(messages.name).toMatch(/^POST /);
    expect((await messages.next()).value?.data.answer).toBe('why €?');
    expect(await messages.next()).toEqual({ done: true, value: undefined });
    const { message } = await rejected(follow(app, '/own/answers', { method: 'DELETE' }), FollowError);
    expect(message).toMatch(/^DELETE http:\S+ was answered 404: /);
  });

  it('ends the connection when its loop is left', async () => {
    const { app, feeds } = await serveOwn();
    const messages = await follow(app, '/feeds/a');
    await feeds.publish('a', 1);
    await feeds.publish('a', 2);
    for await (const { data } of messages) if (data === 2) break;
    await until(() => feeds.counts().closed.client === 1);
    expect(feeds.counts().open).toBe(0);
    expect(await messages.next()).toEqual({ done: true, value: undefined });
  });

  it('is over when the feed has ended, and empty where a client has it all', async () => {
    const { app, feeds } = await serveOwn();
    const messages = await follow(app, '/feeds/a');
    await feeds.publish('a', 1);
    const end = await feeds.finish('a');
    const came: FeedMessage[] = [];
    for await (const message of messages) came.push(message);
    expect(came).toEqual([expect.objectContaining({ data: 1 }), end]);
    const rest = await follow(app, '/feeds/a', { headers: { 'Last-Event-ID': end.id as string } });
    expect(await rest.next()).toEqual({ done: true, value: undefined });
  });

  it('reads messages that come in many pieces, no faster than they are taken', async () => {
    const { app } = await serveOwn();
    let n = 0;
    for await (const { data } of await follow(app, '/own/long/2000')) {
      expect(data).toEqual({ n, text: '€'.repeat(1000) });
      n += 1;
    }
    expect(n).toBe(2000);
  });

  it('fails with the status and the body where the request is refused', async () => {
    const { app, url } = await serveOwn();
    const refused = await rejected(follow(app, '/own/forbidden'), FollowError);
    expect(refused).toMatchObject({ status: 403, code: 'FOLLOW' });
    expect(refused.message).toMatch(/^GET http:\/\/127\.0\.0\.1:\d+\/own\/forbidden was answered 403: \{.*"message":"Not you\."/);
    expect(JSON.parse(refused.body as string)).toMatchObject({ message: 'Not you.' });
    expect(await rejected(follow(url, '/nowhere'), FollowError)).toMatchObject({ status: 404 });
  });

  it('fails where the answer is not a feed in NDJSON', async () => {
    const { app, feeds } = await serveOwn();
    const { message, status } = await rejected(follow(app, '/own/plain'), FollowError);
    expect([status, message]).toEqual([200, expect.stringMatching(/own\/plain was answered 200, but not as application\/x-ndjson$/)]);
    await rejected(follow(app, '/own/quiet?format=sse'), FollowError);
    await until(() => feeds.counts().open === 0);
  });

  it('says what it waited for, and what has come so far, when its time is over', async () => {
    const { app, feeds } = await serveOwn();
    const messages = await follow(app, '/feeds/a', { timeoutMs: 3000 });
    expect((await rejected(messages.next(), FeedTimeoutError)).message).toMatch(
      /^GET http:\S+\/feeds\/a: no message within 3000 ms\. So far: none\.$/,
    );
    for (let n = 1; n <= 6; n += 1) await feeds.publish('a', n, { type: 'count' });
    for (let n = 1; n <= 6; n += 1) await messages.next({ timeoutMs: 5000 });
    const late = await rejected(messages.next({ timeoutMs: 60 }), FeedTimeoutError);
    expect(late).toMatchObject({ timeoutMs: 60, code: 'FEED_TIMEOUT' });
    const shown = [2, 3, 4, 5, 6].map((n) => `\n  {"feed":"a","type":"count","data":${n}}`).join('');
    expect(late.message.split('no message ')[1]).toBe(`within 60 ms. So far: 6, the last 5 of them:${shown}`);
    expect(late.stack).toContain('follow.spec.ts');
    await feeds.publish('a', 'after all');
    expect((await messages.next({ timeoutMs: 5000 })).value).toMatchObject({ data: 'after all' });
  });

  it('leaves where no response begins in time', async () => {
    const { app, feeds } = await serveOwn();
    const { message } = await rejected(follow(app, '/own/late', { timeoutMs: 50 }), FeedTimeoutError);
    expect(message).toMatch(/own\/late: no response within 50 ms$/);
    await until(() => feeds.counts().open === 0);
  });

  it('ends with the signal of the test', async () => {
    const { app, feeds } = await serveOwn();
    const leaving = new AbortController();
    const messages = await follow(app, '/own/quiet', { signal: leaving.signal });
    const next = messages.next();
    leaving.abort(new RangeError('enough'));
    await rejected(next, RangeError);
    await until(() => feeds.counts().closed.client === 1);
    await rejected(follow(app, '/own/quiet', { signal: leaving.signal }), RangeError);
  });

  it('tells a response that breaks off from one that ends', async () => {
    const { app } = await serveOwn();
    const messages = await follow(app, '/own/broken');
    expect((await messages.next()).value).toMatchObject({ data: 'a' });
    expect((await messages.next()).value).toMatchObject({ type: 'error' });
    expect((await rejected(messages.next(), FollowError)).message).toMatch(
      /own\/broken broke off: aborted\. So far: 2:\n {2}\{"data":"a"\}\n {2}\{"type":"error","data":/,
    );
  });
});

describe('follow()', () => {
  it('fails where nothing listens, and names the option that is wrong', async () => {
    const { url } = await serveFeeds('express');
    await closeAll();
    const { message, status } = await rejected(follow(url, '/feeds/a'), FollowError);
    expect([status, message]).toEqual([undefined, expect.stringMatching(/feeds\/a failed: connect ECONNREFUSED/)]);
    await expect(follow(url, '/', { timeoutMs: 0 })).rejects.toThrow(
      'follow()\'s option "timeoutMs" must be 1 or more milliseconds, not 0',
    );
    await expect(follow(url, '/', { timeout: 1 } as never)).rejects.toThrow('follow() has no option "timeout"');
    await expect(follow(url, '/', { headers: { a: 1 } } as never)).rejects.toThrow('follow()\'s option "headers.a" must be text');
    await expect(follow(url, '/', { body: 'text' } as never)).rejects.toThrow('follow()\'s option "body" must be an object');
  });
});
