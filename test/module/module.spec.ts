import { Controller, Get, Injectable, Module } from '@nestjs/common';
import { of } from 'rxjs';
import { Feed, FeedModule, FeedModuleDuplicateError, FeedOptionsError, FeedService } from '../../src/index.js';
import { closeAll, feedModule, platforms, post, publishKey, serve, serveFeeds } from '../support/serve.js';

afterEach(closeAll);

describe.each(platforms)('FeedModule on %s', (platform) => {
  it('forRootAsync() takes the options from a factory, and the path from beside it', async () => {
    @Injectable()
    class Settings {
      readonly line = 'from a factory';
    }
    @Module({ providers: [Settings], exports: [Settings] })
    class SettingsModule {}

    const served = await serve(platform, {
      imports: [
        FeedModule.forRootAsync({
          path: 'a/b',
          imports: [SettingsModule],
          inject: [Settings],
          useFactory: ({ line }: Settings) => ({ public: true, source: () => of(line) }),
        }),
      ],
    });
    expect(await (await fetch(`${served.url}/a/b/1`)).text()).toBe('from a factory\n');
  });

  it("takes broker: 'memory', its default, by name, and no other name", async () => {
    const imports = [FeedModule.forRoot({ broker: 'memory', path: 'feeds', public: true, publishKey })];
    const { url, app } = await serve(platform, { imports });
    expect((await post(`${url}/feeds/1`, 'x')).status).toBe(201);
    expect(app.get(FeedService).status.broker.name).toBe('memory');
    await expect(serve(platform, { imports: [FeedModule.forRoot({ broker: 'redis' as 'memory' })] })).rejects.toThrow(
      /"broker" must be 'memory', or a function/,
    );
  });

  it('FeedService and @Feed() work in modules that do not import FeedModule, beside ordinary routes', async () => {
    @Controller('orders')
    class OrdersController {
      constructor(private readonly feeds: FeedService) {}

      @Feed(':id')
      follow() {
        return of('an order');
      }

      @Get()
      list() {
        return [this.feeds.counts().open];
      }
    }
    @Module({ controllers: [OrdersController] })
    class OrdersModule {}

    const served = await serve(platform, { imports: [OrdersModule, FeedModule.forRoot()] });
    expect(await (await fetch(`${served.url}/orders/1`)).text()).toBe('an order\n');
    expect(await (await fetch(`${served.url}/orders`)).json()).toEqual([0]);
  });

  it('a @Feed() route without FeedModule stops the start, which names the module', async () => {
    @Controller('orders')
    class OrdersController {
      @Feed(':id')
      follow() {}
    }
    await expect(serve(platform, { controllers: [OrdersController] })).rejects.toThrow(/FeedModule\.forRoot\(\)/);
  });

  it('there is no built-in route without a path', async () => {
    const served = await serve(platform, { imports: [FeedModule.forRoot()] });
    for (const path of ['/feeds/1', '/feeds?id=1', '/1', '/']) expect([path, (await fetch(served.url + path)).status]).toEqual([path, 404]);
  });

  it('a built-in route without guards, secrets or `public: true` stops the start', async () => {
    const served = serve(platform, { imports: [FeedModule.forRoot({ path: 'feeds' })] });
    await expect(served).rejects.toMatchObject({ option: 'path', message: expect.stringContaining('"public: true"') });
    await expect(served).rejects.toBeInstanceOf(FeedOptionsError);
  });

  it('the start fails where the module is imported twice', async () => {
    const twice = serve(platform, { imports: [feedModule({ path: 'a' }), feedModule({ path: 'b' })] });
    await expect(twice).rejects.toThrow(FeedModuleDuplicateError);
  });

  it.each([
    [{ intervalMs: -1 }, 'intervalMs', /must be 0 or more milliseconds, not -1/],
    [{ intervalMs: 1.5 }, 'intervalMs', /must be a whole number of milliseconds, not 1.5/],
    [{ bufferBytes: '64k' }, 'bufferBytes', /must be a whole number of bytes, not "64k"/],
    [{ source: 1 }, 'source', /must be a function that returns an Observable, not 1/],
    [
      { bufferByte: 1 },
      'bufferByte',
      /no option "bufferByte"; it has path, guards, tickets, decorators, isGlobal, source, intervalMs, maxConnections, maxOpenDelayMs, bufferBytes/,
    ],
  ])('the options %j are rejected by name', async (options, option, message) => {
    const served = serve(platform, { imports: [FeedModule.forRoot(options as object)] });
    await expect(served).rejects.toThrow(message);
    await expect(served).rejects.toBeInstanceOf(FeedOptionsError);
    await expect(served).rejects.toMatchObject({ option, code: 'FEED_OPTIONS' });
  });

  it('an option that is undefined has its default', async () => {
    const { url } = await serveFeeds(platform, { publishKey, intervalMs: undefined, bodyBytes: undefined });
    for (const [length, status] of [
      [65_536, 201],
      [65_537, 413],
    ] as const) {
      expect((await post(`${url}/feeds/a`, 'x'.repeat(length))).status).toBe(status);
    }
  });
});
