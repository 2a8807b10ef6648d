import {
  type CallHandler,
  ClassSerializerInterceptor,
  Controller,
  type ExecutionContext,
  Get,
  Injectable,
  type NestInterceptor,
  Query,
  RequestTimeoutException,
  Scope,
  UseInterceptors,
} from '@nestjs/common';
import { APP_INTERCEPTOR, Reflector } from '@nestjs/core';
import { Exclude, instanceToPlain } from 'class-transformer';
import { catchError, map, NEVER, Observable, of, Subject, take, tap, throwError, timeout } from 'rxjs';
import { Feed } from '../../src/index.js';
import { Peer } from '../support/peer.js';
import { closeAll, follow, type Platform, platforms, serveFeeds, until } from '../support/serve.js';
import { untilSteady } from '../support/until.js';

class Account {
  name = 'n';
  @Exclude() secret = 's';
}

const shouts: NestInterceptor = { intercept: (_context, next) => next.handle().pipe(map((item) => `${item}!`)) };

class Impossible extends Error {}

let subscriptions = 0;
let drawn = 0;
const prices = new Subject<string>();

function counted<T>(source: Observable<T>): Observable<T> {
  return new Observable((subscriber) => {
    subscriptions += 1;
    const subscription = source.subscribe(subscriber);
    return () => {
      subscriptions -= 1;
      subscription.unsubscribe();
    };
  });
}

@Controller('accounts')
class AccountsController {
  @Feed('one')
  one() {
    return of(new Account());
  }

  @Feed('message')
  message() {
    return of({ id: '7', type: 'changed', data: new Account() });
  }

  @Feed('promised')
  async promised() {
    return counted(NEVER);
  }

  @Feed('prices')
  prices(@Query('from') from = '') {
    return counted(prices.pipe(map((price) => from + price)));
  }

  @Feed('iterable')
  async *iterable() {
    for (drawn = 1; drawn <= 20_000; drawn += 1) yield `${drawn} ${'x'.repeat(1000)}`;
  }

  @Feed('published')
  published() {}

  @Feed('failing')
  failing() {
    return throwError(() => new Impossible());
  }

  @Feed('shouted')
  @UseInterceptors(shouts)
  shouted() {
    return of('a', 'b');
  }

  @Get('plain')
  plain() {
    return new Account();
  }
}

@Controller('loud')
@UseInterceptors(shouts)
class LoudController {
  @Feed('feed')
  feed() {
    return of('a', 'b');
  }
}

/** As Nest's documentation has them. */
@Injectable()
class LoggingInterceptor implements NestInterceptor {
  static readonly lines: string[] = [];

  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const name = context.getHandler().name;
    return next.handle().pipe(
      tap({
        next: (value) => LoggingInterceptor.lines.push(`${name}: ${value}`),
        complete: () => LoggingInterceptor.lines.push(`${name} is complete`),
      }),
    );
  }
}

@Injectable()
class TimeoutInterceptor implements NestInterceptor {
  intercept(_context: ExecutionContext, next: CallHandler): Observable<unknown> {
    timeouts += 1;
    return next.handle().pipe(
      timeout(20),
      catchError((error) => throwError(() => (error.name === 'TimeoutError' ? new RequestTimeoutException() : error))),
    );
  }
}
let timeouts = 0;

@Injectable({ scope: Scope.REQUEST })
class RequestInterceptor implements NestInterceptor {
  intercept(_context: ExecutionContext, next: CallHandler): Observable<unknown> {
    return next.handle().pipe(map((item) => `${item}?`));
  }
}

const start = (platform: Platform, interceptors: NestInterceptor[], providers: object[] = []) =>
  serveFeeds(platform, { path: undefined }, { controllers: [AccountsController, LoudController], providers: providers as never }, (app) =>
    app.useGlobalInterceptors(...interceptors),
  );
const serializer = () => new ClassSerializerInterceptor(new Reflector());
const read = async (url: string) => (await fetch(url)).text();

it('serialises what is published with the option `serialize`, once for all who follow', async () => {
  let calls = 0;
  const serialize = (data: unknown) => {
    calls += 1;
    return instanceToPlain(data);
  };
  const served = await serveFeeds('express', { serialize });
  const peers = await Promise.all(['a', 'a', 'b'].map((feed) => Peer.get(served.port, `/feeds/${feed}`)));
  await until(() => served.feeds.counts().open === 3);
  const messages = await served.feeds.publishMany(['a', 'b'], new Account());
  for (const peer of peers) await peer.sees('{"name":"n"}');
  expect(messages.map(({ data }) => data)).toEqual([{ name: 'n' }, { name: 'n' }]);
  expect(calls).toBe(1);
  await closeAll();
});

describe.each(platforms)("interceptors of a feed's route on %s", (platform) => {
  afterEach(closeAll);

  it.each(['useGlobalInterceptors()', 'APP_INTERCEPTOR'])('hide what must not be shown: ClassSerializerInterceptor by %s', async (how) => {
    const isGlobal = how !== 'APP_INTERCEPTOR';
    const provider = { provide: APP_INTERCEPTOR, useClass: ClassSerializerInterceptor };
    const { url } = await start(platform, isGlobal ? [serializer()] : [], isGlobal ? [] : [provider]);
    expect(await read(`${url}/accounts/one`)).toBe('{"name":"n"}\n');
    expect(await read(`${url}/accounts/message?format=sse`)).toContain('id: 7\nevent: changed\ndata: {"name":"n"}\n\n');
    expect(await read(`${url}/accounts/plain`)).toBe('{"name":"n"}');
  });

  it('apply in the order of any route, whether they are of the application, the request, the controller or the method', async () => {
    const { url } = await start(platform, []);
    expect(await read(`${url}/accounts/shouted`)).toBe('a!\nb!\n');
    expect(await read(`${url}/loud/feed`)).toBe('a!\nb!\n');
    const global = await start(platform, [{ intercept: (_context, next) => next.handle().pipe(map((item) => `${item}.`)) }]);
    expect(await read(`${global.url}/accounts/shouted`)).toBe('a!.\nb!.\n');
    expect(await read(`${global.url}/loud/feed`)).toBe('a!.\nb!.\n');
    const scoped = await start(platform, [], [{ provide: APP_INTERCEPTOR, scope: Scope.REQUEST, useClass: RequestInterceptor }]);
    expect(await read(`${scoped.url}/loud/feed`)).toBe('a!?\nb!?\n');
  });

  it('see each item as it comes, and the end; what is published, they do not see', async () => {
    LoggingInterceptor.lines.length = 0;
    const served = await start(platform, [serializer()], [{ provide: APP_INTERCEPTOR, useClass: LoggingInterceptor }]);
    const peer = await follow(served, '/accounts/prices?from=EUR');
    await until(() => subscriptions === 1);
    prices.next('7');
    await peer.sees('EUR7');
    await served.feeds.publish('accounts/prices', 'published');
    await peer.sees('published');
    expect(LoggingInterceptor.lines).toEqual(['prices: EUR7']);
    peer.leave();
    await until(() => subscriptions === 0);
    expect(await read(`${served.url}/accounts/shouted`)).toBe('a!\nb!\n');
    expect(LoggingInterceptor.lines.slice(1)).toEqual(['shouted: a!', 'shouted: b!', 'shouted is complete']);
    await follow(served, '/accounts/published');
    expect(LoggingInterceptor.lines.slice(4)).toEqual(['published: undefined', 'published is complete']);
  });

  it('answer an error of the source instead of the exception filters, or with them', async () => {
    const { url } = await start(platform, [
      { intercept: (_context, next) => next.handle().pipe(catchError(() => throwError(() => new RequestTimeoutException('late')))) },
    ]);
    const answer = await fetch(`${url}/accounts/failing`);
    expect([answer.status, await answer.json()]).toEqual([408, expect.objectContaining({ message: 'late' })]);
    const recovering = await start(platform, [{ intercept: (_context, next) => next.handle().pipe(catchError(() => of('recovered'))) }]);
    expect(await read(`${recovering.url}/accounts/failing`)).toBe('recovered\n');
    // No feed is open that could send what they answer instead.
    expect((await fetch(`${recovering.url}/accounts/one?format=no`)).status).toBe(500);
  });

  it('may end a feed', async () => {
    const { url } = await start(platform, [{ intercept: (_context, next) => next.handle().pipe(take(1)) }]);
    expect(await read(`${url}/accounts/shouted`)).toBe('a!\n');
    expect(subscriptions).toBe(0);
  });

  it('end no feed by a timeout: it may be silent for longer than an answer may take', async () => {
    timeouts = 0;
    const served = await start(platform, [new TimeoutInterceptor(), serializer()]);
    const peers = await Promise.all(['promised', 'prices', 'published'].map((name) => Peer.get(served.port, `/accounts/${name}`)));
    await until(() => served.feeds.counts().open === 3 && timeouts > 10);
    prices.next('7');
    await peers[1]?.sees('7');
    await served.feeds.publish('accounts/published', 'published');
    await peers[2]?.sees('published');
    expect(served.feeds.counts()).toMatchObject({ open: 3, opened: 3 });
    expect(subscriptions).toBe(2);
    Peer.leaveAll();
    await until(() => subscriptions === 0);
  });

  it('get from an async iterable no more than the client reads', async () => {
    const served = await start(platform, [shouts]);
    const peer = await Peer.get(served.port, '/accounts/iterable');
    await peer.sees('1 x');
    peer.socket.pause();
    await untilSteady(() => drawn);
    expect(drawn).toBeLessThan(20_000);
    peer.socket.resume();
    await peer.closed();
    expect(peer.isComplete).toBe(true);
    expect(peer.body).toContain(`20000 ${'x'.repeat(1000)}!`);
  });

  it('leave nothing behind of a HEAD request, and of a client that leaves', async () => {
    const served = await start(platform, [shouts]);
    expect((await fetch(`${served.url}/accounts/prices`, { method: 'HEAD' })).status).toBe(200);
    expect(subscriptions).toBe(0);
    for (let n = 0; n < 10; n += 1) (await follow(served, '/accounts/prices')).leave();
    await until(() => subscriptions === 0 && served.feeds.counts().open === 0);
  });
});
