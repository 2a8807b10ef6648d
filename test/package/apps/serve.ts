// Serves an application's module: `node serve.js ./feeds/app.module.js express`.
import { NestFactory } from '@nestjs/core';

async function adapter(platform: string | undefined) {
  if (platform === 'fastify') return new (await import('@nestjs/platform-fastify')).FastifyAdapter();
  return new (await import('@nestjs/platform-express')).ExpressAdapter();
}

async function serve(file: string, platform: string | undefined) {
  const { AppModule } = await import(file);
  const app = await NestFactory.create(AppModule, await adapter(platform), { logger: ['error', 'warn'] });
  // Nothing ends the process but that nothing is left in it.
  process.once('SIGTERM', () => void app.close());
  await app.listen(0, '127.0.0.1');
  process.stdout.write(`${await app.getUrl()}\n`);
}

void serve(process.argv[2] ?? '', process.argv[3]);
