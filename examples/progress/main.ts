import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Controller, HttpCode, Logger, Module, NotFoundException, Param, Post } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Feed, FeedModule, FeedService } from 'nestjs-feed';
import { map, of, takeWhile } from 'rxjs';
import { pageOf } from '../page.ts';

const steps = 40;

interface Step {
  type: 'step' | 'done';
  data: { step: number; steps: number };
}

@Controller()
class JobsController {
  private readonly logger = new Logger(JobsController.name);
  /** The last step of each job, which outlives history: in a real application, a table. */
  private readonly jobs = new Map<string, Step>();

  constructor(private readonly feeds: FeedService) {}

  @Post('jobs')
  @HttpCode(202)
  start(): { id: string } {
    const id = randomUUID();
    this.jobs.set(id, { type: 'step', data: { step: 0, steps } });
    this.run(id).catch((error) => this.logger.error(error));
    return { id };
  }

  /** A client gets the newest step at once, by the rule below, then each further one; the last one ends the response. */
  @Feed('jobs/:id')
  follow(@Param('id') id: string) {
    const last = this.jobs.get(id);
    if (!last) throw new NotFoundException();
    if (last.type === 'done') return of(last);
    return this.feeds.messages(`progress/${id}`).pipe(
      takeWhile(({ type }) => type !== 'done', true),
      map(({ type, data }) => ({ type, data })),
    );
  }

  private async run(id: string): Promise<void> {
    for (let step = 1; step <= steps; step += 1) {
      await sleep(100); // the work
      const last: Step = { type: step < steps ? 'step' : 'done', data: { step, steps } };
      this.jobs.set(id, last);
      await this.feeds.publish(`progress/${id}`, last.data, { type: last.type });
    }
  }
}

@Module({
  imports: [FeedModule.forRoot({ rules: { 'progress/*': { replay: 'newest' } } })],
  controllers: [JobsController, pageOf(import.meta.url)],
})
class AppModule {}

const app = await NestFactory.create(AppModule, { logger: ['warn', 'error'] });
app.enableShutdownHooks(undefined, { useProcessExit: true });
await app.listen(process.env.PORT ?? 3000, '127.0.0.1');
console.log(`open ${await app.getUrl()}`);
