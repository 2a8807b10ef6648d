// An ordinary route of an application, on the platform that the first argument names; with `feeds` as the second one the
// application imports FeedModule as well.
import 'reflect-metadata';
import { Controller, Get, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FeedModule } from '../../dist/index.js';
import { listening } from './listening.mjs';
import { platform } from './nest-platform.mjs';

const [name, feeds] = process.argv.slice(2);

class HelloController {
  hello() {
    return { hello: 'world' };
  }
}
Get()(HelloController.prototype, 'hello', Object.getOwnPropertyDescriptor(HelloController.prototype, 'hello'));
Controller('hello')(HelloController);

class AppModule {}
Module({ imports: feeds === 'feeds' ? [FeedModule.forRoot()] : [], controllers: [HelloController] })(AppModule);

const app = await NestFactory.create(AppModule, await platform(name), { logger: ['warn', 'error', 'fatal'] });
await app.listen(0, '127.0.0.1');
listening(app.getHttpServer());
