// Nest's own @Sse() with an interval() for each connection, on the platform that the first argument names.
import { Controller, Module, Param, Sse } from '@nestjs/common';
import { interval, map, type Observable, startWith } from 'rxjs';
import { period } from './listening.js';
import { serve } from './nest.js';

@Controller('test')
class TestController {
  @Sse(':id')
  follow(@Param('id') id: string): Observable<{ data: string }> {
    return interval(period).pipe(
      map((n) => ({ data: `Chunk ${n + 1} for id /test/${id}` })),
      startWith({ data: `Nest welcomes you! Your Id: /test/${id}` }),
    );
  }
}

@Module({ controllers: [TestController] })
class AppModule {}

await serve(AppModule, process.argv[2], (name) => import(name));
