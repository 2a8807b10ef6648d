import { rmSync } from 'node:fs';
import { appendFile, mkdtemp, open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Controller, Injectable, Logger, Module, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Feed, FeedModule, FeedService } from 'nestjs-feed';

const path = process.env.LOG_FILE ?? (await makeLog());

/** The lines of a file, then those that are appended. It polls five times a second, since not every file system reports changes. */
async function* linesOf(path: string, signal: AbortSignal): AsyncGenerator<string> {
  const file = await open(path);
  const chunk = Buffer.alloc(65_536);
  let rest = Buffer.alloc(0);
  try {
    while (!signal.aborted) {
      const { bytesRead } = await file.read(chunk);
      if (bytesRead === 0) await sleep(200);
      rest = Buffer.concat([rest, chunk.subarray(0, bytesRead)]);
      const end = rest.lastIndexOf('\n') + 1;
      // Lines may end with CRLF, but the text of a message has no carriage returns.
      for (const line of rest.toString('utf8', 0, end).split(/\r*\n/).slice(0, -1)) yield line.replaceAll('\r', ' ');
      rest = rest.subarray(end);
    }
  } finally {
    await file.close();
  }
}

@Injectable()
class LogTail implements OnApplicationBootstrap, OnModuleDestroy {
  private readonly logger = new Logger(LogTail.name);
  private readonly stopping = new AbortController();

  constructor(private readonly feeds: FeedService) {}

  onApplicationBootstrap(): void {
    this.publish().catch((error) => this.logger.error(error));
  }

  onModuleDestroy(): void {
    this.stopping.abort();
  }

  private async publish(): Promise<void> {
    for await (const line of linesOf(path, this.stopping.signal)) await this.feeds.publish('log', line);
  }
}

@Controller()
class LogController {
  /** Returns nothing: the route follows the feed that is named as its path, and resumes it. */
  @Feed('log')
  follow(): void {}
}

@Module({
  imports: [FeedModule.forRoot({ historyLength: 1000, historyTtlMs: 86_400_000 })],
  controllers: [LogController],
  providers: [LogTail],
})
class AppModule {}

const app = await NestFactory.create(AppModule, { logger: ['warn', 'error'] });
app.enableShutdownHooks(undefined, { useProcessExit: true });
await app.listen(process.env.PORT ?? 3000, '127.0.0.1');
console.log(`follows ${path}: curl -N '${await app.getUrl()}/log?since=earliest'`);

/** Makes a log that grows by itself. */
async function makeLog(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'nestjs-feed-tail-'));
  process.once('exit', () => rmSync(folder, { recursive: true }));
  const path = join(folder, 'demo.log');
  const write = (line: string) => appendFile(path, `${new Date().toISOString()} ${line}\n`);
  await write('the log begins');
  let n = 0;
  setInterval(() => void write(`line ${++n}`), 1000);
  return path;
}
