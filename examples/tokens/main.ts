import { setTimeout as sleep } from 'node:timers/promises';
import { Controller, Delete, HttpCode, Module, Param, Query } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { Feed, FeedModule, FeedService, FeedSignal } from 'nestjs-feed';
import { pageOf } from '../page.ts';

const text = `There is no model here: the words are always the same, whatever you ask. Only their delivery is real. The answer is made once:
reload this page, or open it in another tab, and it goes on where it was. Stop it in any of them, and it stops in all.`;

/**
 * A simulated language model. Replace it with the stream of your provider's client:
 * `for await (const { choices } of await client.chat.completions.create({ …, stream: true }, { signal })) yield choices[0].delta.content ?? '';`
 */
async function* model(prompt: string, signal: AbortSignal): AsyncGenerator<string> {
  for (const word of `You asked: “${prompt}”. ${text}`.split(/\s+/)) {
    await sleep(100, undefined, { signal });
    yield `${word} `;
  }
}

@Controller('answers')
class AnswersController {
  constructor(private readonly feeds: FeedService) {}

  /** A run outlives its clients: the first request starts it, all others follow it, from the first word or from where they were. */
  @Feed(':id', { feed: ({ params }) => `${params.id}`, run: { type: 'token' } })
  answer(@FeedSignal() signal: AbortSignal, @Query('prompt') prompt = 'nothing'): AsyncGenerator<string> {
    return model(prompt, signal);
  }

  @Delete(':id')
  @HttpCode(204)
  async stop(@Param('id') id: string): Promise<void> {
    await this.feeds.stop(id);
  }
}

@Module({ imports: [FeedModule.forRoot({ historyLength: 10_000 })], controllers: [AnswersController, pageOf(import.meta.url)] })
class AppModule {}

const app = await NestFactory.create(AppModule, new FastifyAdapter(), { logger: ['warn', 'error'] });
app.enableShutdownHooks(undefined, { useProcessExit: true });
await app.listen(process.env.PORT ?? 3000, '127.0.0.1');
const url = await app.getUrl();
console.log(`open ${url}\nor   curl -N '${url}/answers/1?prompt=why'`);
