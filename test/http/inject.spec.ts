import { Run } from '../support/run.js';

/** In a process of its own, since Jest cannot load what Fastify injects with. */
const script = `
  import 'reflect-metadata';
  import { NestFactory } from '@nestjs/core';
  import { FastifyAdapter } from '@nestjs/platform-fastify';
  import { FeedModule, FeedService } from './dist/index.js';

  class Root {}
  const module = { module: Root, imports: [FeedModule.forRoot({ path: 'feeds', public: true, drainMs: 0 })] };
  const app = await NestFactory.create(module, new FastifyAdapter(), { logger: ['error', 'warn'] });
  await app.init();
  const feeds = app.get(FeedService);
  const open = async (count) => {
    while (feeds.counts().open !== count) await new Promise((resolve) => setTimeout(resolve, 5));
  };

  const whole = app.inject({ method: 'GET', url: '/feeds/a' });
  await open(1);
  await feeds.publish('a', 'whole: €');
  await feeds.finish('a');
  const { statusCode, body } = await whole;
  console.log(statusCode, body.trim());

  const leaving = new AbortController();
  const response = await app.inject({ method: 'GET', url: '/feeds/b', payloadAsStream: true, signal: leaving.signal });
  const pieces = response.stream().setEncoding('utf8')[Symbol.asyncIterator]();
  for (const piece of ['first', 'second']) {
    await feeds.publish('b', piece);
    console.log(response.statusCode, (await pieces.next()).value.trim());
  }
  leaving.abort();
  await pieces.next().catch(({ name }) => console.log(name));
  await open(0);
  await app.close();
`;

afterEach(() => Run.endAll());

it('a feed answers what Fastify injects: as a whole when it has ended, or as a stream', async () => {
  const run = Run.node(['--input-type=module', '-e', script]);
  expect(await run.exit).toBe(0);
  expect(run.err).toBe('');
  expect(run.out.trim().split('\n')).toEqual(['200 whole: €', '200 first', '200 second', 'AbortError']);
});
