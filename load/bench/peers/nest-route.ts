// An ordinary route of an application, on the platform that the first argument names, with the packages of the checkout in the folder that
// the second one names; with `feeds` as the third one the application imports FeedModule as well.
import type { DynamicModule } from '@nestjs/common';
import { importerOf, serve } from './nest.js';

const [platform, folder, feeds] = process.argv.slice(2);
const load = importerOf(folder);
const { Controller, Get, Module } = (await load('@nestjs/common')) as typeof import('@nestjs/common');
const imports: DynamicModule[] = [];
if (feeds === 'feeds') {
  const { FeedModule } = (await load('nestjs-feed')) as { FeedModule: { forRoot(options: object): DynamicModule } };
  // A secret: a route of the module's own needs it, or a build that is closed by default does not start.
  imports.push(FeedModule.forRoot({ path: 'feeds', jwtSecret: 'a secret of the bench, for no token' }));
}

@Controller('hello')
class HelloController {
  @Get()
  hello() {
    return { hello: 'world' };
  }
}

@Module({ imports, controllers: [HelloController] })
class AppModule {}

await serve(AppModule, platform, load);
