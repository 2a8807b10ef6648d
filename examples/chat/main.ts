import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { BadRequestException, Body, ConflictException, Controller, Injectable, Logger, Module, Post } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FeedModule, FeedService, FeedTokenService } from 'nestjs-feed';
import { redisBroker } from 'nestjs-feed/redis';
import { concatMap, type Subscription } from 'rxjs';
import { pageOf } from '../page.ts';

/** Of the tokens. It outlives the process, so that those who have joined stay when the server is restarted. */
function readSecret(): string {
  const file = new URL('secret', import.meta.url);
  if (!existsSync(file)) writeFileSync(file, randomBytes(32).toString('base64url'), { mode: 0o600 });
  return readFileSync(file, 'utf8');
}

/**
 * Each client follows `room`, `here` and `at/<name>`, and publishes to `say/<name>`, which is relayed to the room: the token decides under
 * which name a client speaks.
 */
@Injectable()
class Room {
  private readonly logger = new Logger(Room.name);
  private readonly people = new Map<string, Subscription>();

  constructor(private readonly feeds: FeedService) {
    // `at/<name>` gets its first subscriber, or loses its last: a person may have several tabs open.
    feeds.events$.subscribe((event) => {
      if (event.type !== 'followed' && event.type !== 'unfollowed') return;
      const [at, name = ''] = event.feed.split('/');
      if (at !== 'at') return;
      if (event.type === 'followed') this.people.set(name, this.relay(name));
      else {
        this.people.get(name)?.unsubscribe();
        this.people.delete(name);
      }
      feeds.publish('here', [...this.people.keys()]).catch((error) => this.logger.error(error));
    });
  }

  has(name: string): boolean {
    return this.people.has(name);
  }

  /** Relays also what was said before the client was seen, as while it reconnects: by its key, each message is in the room once. */
  private relay(from: string): Subscription {
    return this.feeds
      .messages(`say/${from}`, { since: 'earliest' })
      .pipe(concatMap(({ id, data }) => this.feeds.publish('room', { from, text: `${data}` }, { type: 'said', key: id })))
      .subscribe({ error: (error) => this.logger.error(error) });
  }
}

@Controller()
class ChatController {
  constructor(
    private readonly room: Room,
    private readonly tokens: FeedTokenService,
  ) {}

  @Post('join')
  async join(@Body('name') name: unknown): Promise<{ token: string }> {
    if (typeof name !== 'string' || !/^[\w-]{1,20}$/.test(name)) throw new BadRequestException('A name is 1 to 20 letters or digits.');
    if (this.room.has(name)) throw new ConflictException(`${name} is here already.`);
    return { token: await this.tokens.create({ subject: name, feeds: ['room', 'here', `at/${name}`], publish: `say/${name}` }) };
  }
}

@Module({
  imports: [
    FeedModule.forRoot({
      path: 'feeds',
      jwtSecret: readSecret(),
      rules: { here: { replay: 'newest' } },
      broker: process.env.REDIS_URL ? redisBroker(process.env.REDIS_URL) : 'memory',
    }),
  ],
  controllers: [ChatController, pageOf(import.meta.url)],
  providers: [Room],
})
class AppModule {}

const app = await NestFactory.create(AppModule, { logger: ['warn', 'error'] });
app.enableShutdownHooks(undefined, { useProcessExit: true });
await app.listen(process.env.PORT ?? 3000, '127.0.0.1');
console.log(`open ${await app.getUrl()} in two windows`);
