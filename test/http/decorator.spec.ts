import { EventEmitter, once } from 'node:events';
import {
  type ArgumentsHost,
  BadRequestException,
  type CanActivate,
  Catch,
  Controller,
  type ExceptionFilter,
  type ExecutionContext,
  Header,
  Injectable,
  Param,
  ParseIntPipe,
  Query,
  SetMetadata,
  UnauthorizedException,
  UseFilters,
  UseGuards,
} from '@nestjs/common';
import { HttpAdapterHost, Reflector } from '@nestjs/core';
import { defer, lastValueFrom, NEVER, Observable, of, throwError, timer } from 'rxjs';
import { Feed, FeedSignal } from '../../src/index.js';
import { Peer } from '../support/peer.js';
import { closeAll, platforms, type Served, serveFeeds, until } from '../support/serve.js';
import { untilSteady } from '../support/until.js';

@Injectable()
class KeyGuard implements CanActivate {
  constructor(private readonly reflector: Reflector) {}

  async canActivate(context: ExecutionContext): Promise<boolean> {
    await new Promise(setImmediate);
    const key = this.reflector.get<string>('key', context.getHandler());
    if (context.switchToHttp().getRequest().headers.authorization !== key) throw new UnauthorizedException('no key');
    return true;
  }
}

class Unknown extends Error {}

@Catch(Unknown)
class UnknownFilter implements ExceptionFilter {
  constructor(private readonly adapters: HttpAdapterHost) {}

  catch(_error: Unknown, host: ArgumentsHost): void {
    this.adapters.httpAdapter.reply(host.switchToHttp().getResponse(), { unknown: true }, 410);
  }
}

const signals = new Map<string, AbortSignal>();
let generators = 0;
let drawn = 0;

async function* count(to: number, line: string): AsyncGenerator<string> {
  generators += 1;
  try {
    for (let n = 1; n <= to; n += 1) {
      drawn = n;
      yield `${n} ${line}`;
    }
  } finally {
    generators -= 1;
  }
}

@Controller('orders')
class OrdersController {
  private readonly prefix = 'order';

  @Feed('event')
  event() {
    return of({ type: 'step', data: 1, retry: 5000, comment: 'half way' });
  }

  @Feed(':id')
  @Header('X-Order', 'yes')
  observable(@Param('id', ParseIntPipe) id: number, @Query('note') note = 'none'): Observable<string> {
    return of(`${this.prefix} ${id + 1} ${note}`);
  }

  @Feed(':id/waiting')
  async *waiting(@FeedSignal() signal: AbortSignal): AsyncGenerator<string> {
    generators += 1;
    try {
      yield 'waits';
      await once(new EventEmitter(), 'never', { signal });
    } finally {
      generators -= 1;
    }
  }

  @Feed('signals/:how')
  signalled(@Param('how') how: string, @FeedSignal() signal: AbortSignal): Observable<string> {
    signals.set(how, signal);
    if (how === 'throws') throw new Unknown();
    return how === 'fails' ? throwError(() => new Unknown()) : NEVER;
  }

  @Feed(':id/promise')
  async promise(@Param('id', ParseIntPipe) id: number): Promise<Observable<string>> {
    await new Promise(setImmediate);
    if (id === 404) throw new Unknown();
    if (id === 400) throw new BadRequestException('no such order');
    return of(`promised ${id}`);
  }

  @Feed(':id/iterable')
  iterable(@Param('id', ParseIntPipe) id: number): AsyncIterable<string> {
    return count(id, 'x'.repeat(1000));
  }

  @UseGuards(KeyGuard)
  @Feed('guarded/above')
  @SetMetadata('key', 'secret')
  guardedAbove(): Observable<string> {
    return of('guarded');
  }

  @Feed('guarded/below')
  @UseGuards(KeyGuard)
  @SetMetadata('key', 'secret')
  guardedBelow(): Observable<string> {
    return of('guarded');
  }

  @Feed('failing/:how')
  failing(@Param('how') how: string): Observable<string> | AsyncIterable<string> {
    switch (how) {
      case 'call':
        throw new Unknown();
      case 'subscribe':
        return throwError(() => new Unknown());
      case 'soon':
        return defer(async () => {
          throw new Unknown();
        });
      case 'iterate':
        return (async function* () {
          yield* [];
          throw new Unknown();
        })();
      case 'later':
        return new Observable((subscriber) => {
          subscriber.next('first');
          return timer(20).subscribe(() => subscriber.error(new Unknown()));
        });
      case 'text':
        return 'text' as never;
      case 'json':
        return of<string>(1n as never);
      default:
        return NEVER;
    }
  }
}
UseFilters(UnknownFilter)(OrdersController);

@Controller('named')
class NamedController {
  @Feed(':id', { feed: ({ params }) => params.id as string })
  named() {}
}

/** As compilers make it that do not emit the types of parameters. */
class UntypedController {
  follow(id: string, from = '0') {
    return of(`${id} from ${from}`);
  }
}
Param('id')(UntypedController.prototype, 'follow', 0);
Query('from')(UntypedController.prototype, 'follow', 1);
const described = Object.getOwnPropertyDescriptor(UntypedController.prototype, 'follow') as PropertyDescriptor;
Feed(':id')(UntypedController.prototype, 'follow', described);
Object.defineProperty(UntypedController.prototype, 'follow', described);
Controller('untyped')(UntypedController);

describe.each(platforms)('@Feed() on %s', (platform) => {
  let served: Served;

  beforeAll(async () => {
    const controllers = [OrdersController, NamedController, UntypedController];
    served = await serveFeeds(platform, { path: undefined }, { controllers }, (app) => app.setGlobalPrefix('api'));
  });
  afterAll(closeAll);
  afterEach(async () => {
    Peer.leaveAll();
    await until(() => served.feeds.counts().open === 0 && generators === 0);
  });

  it('follows an Observable, with parameters, pipes, headers and `this` as on any route', async () => {
    const response = await fetch(`${served.url}/api/orders/41?note=n`);
    expect(response.headers.get('x-order')).toBe('yes');
    expect(await response.text()).toBe('order 42 n\n');
    expect(await (await fetch(`${served.url}/api/orders/41`)).text()).toBe('order 42 none\n');
  });

  it("sends each field of Nest's MessageEvent in an event stream, and the data alone elsewhere", async () => {
    const [sse, ndjson] = await Promise.all(['sse', 'ndjson'].map((format) => Peer.get(served.port, `/api/orders/event?format=${format}`)));
    await Promise.all([sse?.closed(), ndjson?.closed()]);
    expect(sse?.body).toMatch(/: half way\nretry: 5000\nevent: step\ndata: 1\n\n$/);
    expect(ndjson?.lines).toEqual([{ type: 'step', data: 1 }]);
  });

  it('leaves a method that is called without a request what it was', async () => {
    const orders = new OrdersController();
    expect(await lastValueFrom(orders.observable(7))).toBe('order 8 none');
    expect(await lastValueFrom(await orders.promise(7))).toBe('promised 7');
  });

  it('follows what a Promise resolves to', async () => {
    expect(await (await fetch(`${served.url}/api/orders/7/promise`)).text()).toBe('promised 7\n');
  });

  it('follows an async iterable to its end, no faster than the client reads', async () => {
    const peer = await Peer.get(served.port, '/api/orders/20000/iterable');
    await peer.sees('1 x');
    peer.socket.pause();
    await untilSteady(() => drawn);
    expect(drawn).toBeLessThan(20_000);
    peer.socket.resume();
    await peer.closed();
    expect(peer.isComplete).toBe(true);
    expect(drawn).toBe(20_000);
    expect(
      peer.body
        .split('\n')
        .map((line) => Number.parseInt(line, 10))
        .slice(0, -1),
    ).toEqual(Array.from({ length: 20_000 }, (_, n) => n + 1));
  });

  it('returns an async iterable whose client leaves', async () => {
    const peer = await Peer.get(served.port, '/api/orders/1000000/iterable');
    await peer.sees('1 x');
    expect(generators).toBe(1);
    peer.leave();
    await until(() => generators === 0);
  });

  it('returns an async iterable whose client leaves while it waits, where what it waits for has the signal', async () => {
    const peer = await Peer.get(served.port, '/api/orders/1/waiting');
    await peer.sees('waits');
    expect(generators).toBe(1);
    peer.leave();
    await until(() => generators === 0);
  });

  it('aborts its signal when the connection ends, or when none is opened', async () => {
    const path = '/api/orders/signals';
    await fetch(`${served.url}${path}/throws`);
    await fetch(`${served.url}${path}/fails`);
    await fetch(`${served.url}${path}/head`, { method: 'HEAD' });
    for (const how of ['throws', 'fails', 'head']) expect([how, signals.get(how)?.aborted]).toEqual([how, true]);
    const peer = await Peer.get(served.port, `${path}/followed`);
    await peer.sees('\r\n\r\n');
    expect(signals.get('followed')?.aborted).toBe(false);
    const { ended } = await served.feeds.end('api/orders/signals/followed');
    expect(ended).toBe(1);
    expect(signals.get('followed')?.aborted).toBe(true);
    await peer.closed();
  });

  it.each(['above', 'below'])('heeds an asynchronous guard %s it', async (place) => {
    const url = `${served.url}/api/orders/guarded/${place}`;
    const refused = await fetch(url);
    expect(refused.status).toBe(401);
    expect(await refused.json()).toMatchObject({ message: 'no key' });
    expect(await (await fetch(url, { headers: { authorization: 'secret' } })).text()).toBe('guarded\n');
  });

  it.each([
    ['/orders/x', 400],
    ['/orders/400/promise', 400],
    ['/orders/404/promise', 410],
    ['/orders/failing/call', 410],
    ['/orders/failing/subscribe', 410],
    ['/orders/failing/soon', 410],
    ['/orders/failing/iterate', 410],
    ['/orders/failing/text', 500],
    ['/orders/failing/json', 500],
    ['/orders/1?format=no', 406],
    ['/elsewhere', 404],
  ])('answers %s, which fails before the first byte, with %i', async (path, status) => {
    const { opened } = served.feeds.counts();
    const response = await fetch(`${served.url}/api${path}`);
    expect(response.status).toBe(status);
    expect(response.headers.get('content-type')).toContain('json');
    expect(served.feeds.counts().opened).toBe(opened);
  });

  it('ends the connection of a source that fails later with an incomplete body, and lives', async () => {
    const { closed } = served.feeds.counts();
    const peer = await Peer.get(served.port, '/api/orders/failing/later');
    await peer.closed();
    expect(peer.head).toMatch(/^HTTP\/1\.1 200/);
    expect(peer.isComplete).toBe(false);
    await until(() => served.feeds.counts().closed.error === closed.error + 1);
  });

  it('counts its connections under the path', async () => {
    const peer = await Peer.get(served.port, '/api/orders/failing/never?x=1');
    await peer.sees('\r\n\r\n');
    expect(served.feeds.count('api/orders/failing/never').open).toBe(1);
    peer.leave();
  });

  it('answers 400 where a route names a feed that is reserved for the module', async () => {
    const { opened } = served.feeds.counts();
    const answer = await fetch(`${served.url}/api/named/$nodes`);
    expect(answer.status).toBe(400);
    expect(await answer.json()).toMatchObject({ code: 'FEED_ID' });
    expect(served.feeds.counts()).toMatchObject({ opened, feeds: 0 });
  });

  it('passes its arguments to a handler whose parameters have defaults and no types', async () => {
    expect(await (await fetch(`${served.url}/api/untyped/7?from=5`)).text()).toBe('7 from 5\n');
  });
});
