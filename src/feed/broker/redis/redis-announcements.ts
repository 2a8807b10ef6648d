import type { Redis } from 'ioredis';
import { newEpoch } from '../epoch.js';

/**
 * What announcements arrive on: the connection for commands (RESP 3), or one beside it where the client speaks RESP 2, as ioredis 5 does.
 * The order is the same: a reply counts once the second connection has answered a `PING` that was sent behind it.
 */
export class RedisAnnouncements {
  /** Whether it is the connection for commands. */
  isOnly = true;
  /** Where it is not: resolves when the last subscription is confirmed. */
  subscribed: Promise<unknown> | undefined;
  /** Where it is not: the `PING` that the replies of this turn of the event loop wait for. */
  private ping: Promise<unknown> | undefined;

  /** @param channelPrefix beginning of the channels' names; alone, it is no feed's channel, and every process has subscribed to it */
  constructor(
    readonly redis: Redis,
    readonly channelPrefix: string,
  ) {}

  /** @throws Error where the server has no sharded Pub/Sub, or takes no messages on it */
  async connect(): Promise<void> {
    const { redis, channelPrefix } = this;
    await redis.connect();
    await redis.ssubscribe(channelPrefix).catch((error: Error) => {
      if (!error.message.includes('unknown command')) throw error;
      throw new Error(`Redis 7 or Valkey is needed: ${error.message}`, { cause: error });
    });
    this.isOnly = (redis as { mode?: string }).mode !== 'subscriber';
  }

  /**
   * Announces something to itself. Redis does not undo a script that may not publish: messages that publishers are told have failed would be
   * stored. And behind a proxy, or while Sentinels choose a master, two connections may lead to two servers.
   *
   * @param commands the connection for commands
   */
  async probe(commands: Redis): Promise<void> {
    const { redis, channelPrefix } = this;
    const token = newEpoch();
    let isHeard = false;
    const listen = (_channel: string, text: string) => {
      isHeard ||= text === token;
    };
    redis.on('smessage', listen);
    await commands.spublish(channelPrefix, token).catch((error: Error) => {
      if (!error.message.includes('allowed in this context')) throw error;
      throw new Error('ioredis 5.3 or later is needed', { cause: error });
    });
    await this.arrived();
    redis.off('smessage', listen);
    if (!isHeard) throw new Error('its two connections, for commands and for announcements, lead to different servers');
  }

  /** Has announcements of feeds passed on from now on. */
  listen(onAnnounced: (feed: string, text: string) => void): void {
    const { length } = this.channelPrefix;
    this.redis.on('smessage', (channel: string, text: string) => onAnnounced(channel.slice(length), text));
  }

  subscribe(feeds: readonly string[]): Promise<unknown> {
    const subscribing = this.redis.ssubscribe(...feeds.map((feed) => this.channelPrefix + feed));
    if (!this.isOnly) this.subscribed = subscribing.catch(ignore);
    return subscribing;
  }

  unsubscribe(feeds: readonly string[]): Promise<unknown> {
    return this.redis.sunsubscribe(...feeds.map((feed) => this.channelPrefix + feed));
  }

  /** Resolves when all has arrived that was announced before the replies of this turn of the event loop. */
  arrived(): Promise<unknown> | undefined {
    if (this.isOnly) return undefined;
    if (!this.ping) {
      this.ping = this.redis.ping();
      process.nextTick(() => {
        this.ping = undefined;
      });
    }
    return this.ping;
  }
}

function ignore() {}
