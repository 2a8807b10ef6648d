// An application with a feed, a page and what is asked of it by the bench, on the platform that the first argument names, with the packages
// of the checkout in the folder that the second one names; with `middleware` as the third one behind compression() and express-session.
import type { DynamicModule, INestApplication } from '@nestjs/common';
import { importerOf, serve } from './nest.js';

const [platform, folder, middleware] = process.argv.slice(2);
const load = importerOf(folder);
const { Controller, Get, Module } = (await load('@nestjs/common')) as typeof import('@nestjs/common');
const { FeedModule, FeedService } = (await load('nestjs-feed')) as {
  FeedModule: { forRoot(options: object): DynamicModule };
  FeedService: new () => { counts(): { open: number; handedOver: number } };
};

let app: INestApplication;

@Controller()
class PageController {
  @Get('page')
  page() {
    return { page: 'a page' };
  }

  /** What is in memory once all garbage has been collected. */
  @Get('memory')
  memory() {
    for (let n = 0; n < 2; n += 1) (globalThis as { gc?: () => void }).gc?.();
    const { open, handedOver } = app.get(FeedService, { strict: false }).counts();
    const { rss, heapUsed, external } = process.memoryUsage();
    return { open, handedOver, rss, heap: heapUsed + external };
  }
}

@Module({ imports: [FeedModule.forRoot({ path: 'feeds', public: true })], controllers: [PageController] })
class AppModule {}

await serve(AppModule, platform, load, async (made) => {
  app = made;
  if (middleware !== 'middleware') return;
  const { default: compression } = (await load('compression')) as { default: () => never };
  const { default: session } = (await load('express-session')) as { default: (options: object) => never };
  app.use(compression());
  app.use(session({ secret: 'a secret of the bench', resave: false, saveUninitialized: false }));
});
