import { Controller, Get, type INestApplication } from '@nestjs/common';
import { Feed } from '../../../src/index.js';
import { Peer } from '../peer.js';
import { adapterOf, closeAll, type ModuleOptions, type Platform, publishKey, type Served, serveFeeds } from '../serve.js';
import { answersIn, exchange } from './answers.js';
import { Hostile } from './hostile.js';

/** The field that hostile requests try to get into an answer, where it would be one. */
export const injected = /[\r\n]x-injected/i;

@Controller()
class AppController {
  @Get('route')
  route() {
    return 'ordinary';
  }

  @Feed('own/:id')
  own() {}
}

/** Starts an application whose limits come soon. */
export function serveAttacked(platform: Platform, options: ModuleOptions = {}, prepare?: (app: INestApplication) => void): Promise<Served> {
  const adapter = adapterOf(platform, { connectionsCheckingInterval: 50, headersTimeout: 500 });
  return serveFeeds(adapter, { drainMs: 200, publishKey, ...options }, { controllers: [AppController] }, prepare);
}

/** An ordinary client of the same server. */
export class Neighbour {
  private published = 0;

  private constructor(
    private readonly served: Served,
    private readonly follower: Peer,
  ) {}

  static async of(served: Served): Promise<Neighbour> {
    const follower = await Peer.get(served.port, '/feeds/calm');
    await follower.sees('\r\n\r\n');
    return new Neighbour(served, follower);
  }

  /** Gets the next message, and an answer of an ordinary route. */
  async isServed(): Promise<void> {
    this.published += 1;
    await this.served.feeds.publish('calm', `message ${this.published}`);
    await this.follower.sees(`message ${this.published}\n`);
    const [answer] = answersIn(await exchange(this.served.port, 'GET /route HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n'));
    expect(answer).toMatchObject({ status: 200, body: 'ordinary' });
  }

  /** Whether it got each message once, in order, and nothing else. */
  expectAll(): void {
    const all = Array.from({ length: this.published }, (_, n) => `message ${n + 1}\n`);
    expect(this.follower.body).toBe(all.join(''));
  }

  leave(): void {
    this.follower.leave();
  }
}

/** Ends what a test began: its peers, the hostile ones, and what it served. */
export async function endAttack(): Promise<void> {
  Peer.leaveAll();
  await Hostile.stopAll();
  await closeAll();
}
