import { Controller, Get, Injectable, Module } from '@nestjs/common';
import { of } from 'rxjs';
import { Feed, FeedModule, FeedModuleDuplicateError, FeedOptionsError, FeedService } from '../../src/index.js';
import { Peer } from '../support/peer.js';
import { feedModule, platforms, serve } from '../support/serve.js';

describe.each(platforms)('FeedModule on %s', (platform) => {
  it('takes its options from a factory, and its path from beside it', async () => {
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
    await served.app.close();
  });

  it('works in modules that do not import it, beside ordinary routes', async () => {
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
    await served.app.close();
  });

  it('has no route unless it is given a path', async () => {
    const served = await serve(platform, { imports: [FeedModule.forRoot()] });
    expect((await fetch(`${served.url}/feeds/1`)).status).toBe(404);
    await served.app.close();
  });

  it('refuses to be imported twice', async () => {
    const twice = serve(platform, { imports: [feedModule({ path: 'a' }), feedModule({ path: 'b' })] });
    await expect(twice).rejects.toThrow(FeedModuleDuplicateError);
  });

  it.each([
    [{ intervalMs: -1 }, 'intervalMs', /must be 0 or more milliseconds, not -1/],
    [{ intervalMs: 1.5 }, 'intervalMs', /must be a whole number of milliseconds, not 1.5/],
    [{ bufferBytes: '64k' }, 'bufferBytes', /must be a whole number of bytes, not "64k"/],
    [{ source: 1 }, 'source', /must be a function that returns an Observable, not 1/],
    [{ bufferByte: 1 }, 'bufferByte', /no option "bufferByte"; it has source, intervalMs, maxConnections, bufferBytes/],
  ])('refuses the options %j', async (options, option, message) => {
    const served = serve(platform, { imports: [FeedModule.forRoot(options as object)] });
    await expect(served).rejects.toThrow(message);
    await expect(served).rejects.toBeInstanceOf(FeedOptionsError);
    await expect(served).rejects.toMatchObject({ option, code: 'FEED_OPTIONS' });
  });

  it('takes undefined for the default', async () => {
    const served = await serve(platform, { imports: [feedModule({ publishKey: 'key', bodyBytes: undefined })] });
    const post = (body: string) =>
      fetch(`${served.url}/feeds/1`, { method: 'POST', body, headers: { authorization: 'Bearer key', 'content-type': 'text/plain' } });
    expect((await post('x'.repeat(65_536))).status).toBe(201);
    expect((await post('x'.repeat(65_537))).status).toBe(413);
    await served.app.close();
  });

  it('is not kept from closing by a client that never finishes its request', async () => {
    const served = await serve(platform, { imports: [feedModule({ drainMs: 50 })] });
    const peers = [await Peer.to(served.port), await Peer.to(served.port)];
    peers[1]?.send('GET /feeds/1 HTTP/1.1\r\nHost: te');
    // Requests behind these on the same loop have been served: so these were accepted.
    await fetch(`${served.url}/feeds/1`, { method: 'HEAD' });
    await served.app.close();
    for (const peer of peers) await peer.closed();
  });
});

describe('the access control of the built-in route', () => {
  const start = async (options: Parameters<typeof FeedModule.forRoot>[0]) => {
    const served = await serve('express', { imports: [FeedModule.forRoot(options)] });
    const { status } = await fetch(`${served.url}/feeds/1`, { method: 'HEAD' });
    await served.app.close();
    return status;
  };

  it('must be declared', async () => {
    await expect(start({ path: 'feeds' })).rejects.toMatchObject({ code: 'FEED_OPTIONS', option: 'path' });
    await expect(start({ path: 'feeds' })).rejects.toThrow(
      /give it "jwtSecret", "jwksUrl", "publishKey" or "guards", or declare it "public: true"/,
    );
    await expect(start({ path: false as unknown as string })).rejects.toThrow(/must be a path, or left out/);
  });

  it.each([
    [{ public: true }, 200],
    [{ guards: [] }, 200],
    [{ publishKey: 'key' }, 401],
    [{ publishKey: 'key', public: true }, 200],
    [{ jwtSecret: 'a secret of thirty-two bytes, no less' }, 401],
  ])('with %j answers a request without a token with %i', async (options, status) => {
    expect(await start({ path: 'feeds', ...options })).toBe(status);
  });
});
