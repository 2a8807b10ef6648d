import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { Controller, Get, Header, Module, Query } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { Feed, FeedModule } from 'nestjs-feed';
import { map, timer } from 'rxjs';

const page = readFileSync(new URL('page.html', import.meta.url), 'utf8');

const text = `There is no model here: these words are always the same, whatever you ask. What is real is the way they take. Each is asked
for when the one before it has left, so whoever reads slowly is written for slowly, and whoever leaves is written for no longer.`;

/**
 * Stands in for a language model. In its place put what your provider's client streams:
 * `for await (const { choices } of await client.chat.completions.create({ …, stream: true })) yield choices[0].delta.content ?? '';`
 */
async function* model(prompt: string, endless: boolean): AsyncGenerator<string> {
  const words = `You asked: “${prompt}”. ${text}`.split(/\s+/);
  do {
    for (const word of words) {
      if (!endless) await sleep(40);
      yield `${word} `;
    }
  } while (endless);
}

@Controller()
class AnswersController {
  private running = 0;
  private made = 0;

  @Get()
  @Header('Content-Type', 'text/html; charset=utf-8')
  page(): string {
    return page;
  }

  /** A client that does not read has the `yield` wait; one that leaves has it return, so that what is in `finally` is done. */
  @Feed('answers')
  async *answer(@Query('prompt') prompt = 'nothing', @Query('endless') endless?: string): AsyncGenerator<string> {
    this.running += 1;
    try {
      for await (const token of model(prompt, endless !== undefined)) {
        this.made += 1;
        yield token;
      }
    } finally {
      this.running -= 1;
    }
  }

  @Feed('stats')
  stats() {
    return timer(0, 250).pipe(map(() => ({ running: this.running, made: this.made })));
  }
}

@Module({ imports: [FeedModule.forRoot({ path: false })], controllers: [AnswersController] })
class AppModule {}

const app = await NestFactory.create(AppModule, new FastifyAdapter(), { logger: ['warn', 'error'] });
app.enableShutdownHooks(undefined, { useProcessExit: true });
await app.listen(process.env.PORT ?? 3000, '127.0.0.1');
const url = await app.getUrl();
console.log(`open ${url}\nor   curl -N '${url}/answers?prompt=why&format=ndjson'`);
