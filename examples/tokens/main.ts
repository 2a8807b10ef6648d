import { setTimeout as sleep } from 'node:timers/promises';
import { Controller, Module, Query } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { Feed, FeedModule, FeedSignal } from 'nestjs-feed';
import { map, timer } from 'rxjs';
import { pageOf } from '../page.ts';

const text = `There is no model here: the words are always the same, whatever you ask. Only their delivery is real. Each word is requested when
the one before it has been sent: a slow reader slows the model down, and the model stops when the reader leaves.`;

/**
 * A simulated language model. Replace it with the stream of your provider's client:
 * `for await (const { choices } of await client.chat.completions.create({ …, stream: true }, { signal })) yield choices[0].delta.content ?? '';`
 */
async function* model(prompt: string, endless: boolean, signal: AbortSignal): AsyncGenerator<string> {
  const words = `You asked: “${prompt}”. ${text}`.split(/\s+/);
  do {
    for (const word of words) {
      if (!endless) await sleep(40, undefined, { signal });
      yield `${word} `;
    }
  } while (endless);
}

@Controller()
class AnswersController {
  private running = 0;
  private made = 0;

  /** The `yield` waits while the client does not read, and returns when it leaves; the signal ends what waits for the model. */
  @Feed('answers')
  async *answer(
    @FeedSignal() signal: AbortSignal,
    @Query('prompt') prompt = 'nothing',
    @Query('endless') endless?: string,
  ): AsyncGenerator<string> {
    this.running += 1;
    try {
      for await (const token of model(prompt, endless !== undefined, signal)) {
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

@Module({ imports: [FeedModule.forRoot()], controllers: [AnswersController, pageOf(import.meta.url)] })
class AppModule {}

const app = await NestFactory.create(AppModule, new FastifyAdapter(), { logger: ['warn', 'error'] });
app.enableShutdownHooks(undefined, { useProcessExit: true });
await app.listen(process.env.PORT ?? 3000, '127.0.0.1');
const url = await app.getUrl();
console.log(`open ${url}\nor   curl -N '${url}/answers?prompt=why&format=ndjson'`);
