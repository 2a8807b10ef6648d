// Nest's own @Sse() with an interval() for each connection, on the platform that the first argument names.
import 'reflect-metadata';
import { Controller, Module, Param, Sse } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { interval, map, startWith } from 'rxjs';
import { listening, period } from './listening.mjs';
import { platform } from './nest-platform.mjs';

class TestController {
  follow(id) {
    return interval(period).pipe(
      map((n) => ({ data: `Chunk ${n + 1} for id /test/${id}` })),
      startWith({ data: `Nest welcomes you! Your Id: /test/${id}` }),
    );
  }
}
// Decorators as plain calls: this file runs as it is, without a compiler.
Param('id')(TestController.prototype, 'follow', 0);
Sse(':id')(TestController.prototype, 'follow', Object.getOwnPropertyDescriptor(TestController.prototype, 'follow'));
Controller('test')(TestController);

class AppModule {}
Module({ controllers: [TestController] })(AppModule);

const app = await NestFactory.create(AppModule, await platform(process.argv[2]), { logger: ['warn', 'error', 'fatal'] });
await app.listen(0, '127.0.0.1');
listening(app.getHttpServer());
