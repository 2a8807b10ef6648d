import { KeyReusedError } from '../../errors/broker.errors.js';
import { digestOf } from '../../message/content.js';
import type { Content, StoredMessage } from '../../message/message.js';

interface KnownKey {
  readonly digest: string;
  readonly offset: number;
  /** In milliseconds since 1970. */
  readonly time: number;
}

/** The keys of publications, each for some time after its message was stored. */
export class KnownKeys {
  /** In the order in which they expire. */
  private readonly keys = new Map<string, KnownKey>();
  private expiry: NodeJS.Timeout | undefined = undefined;

  /** @param lifeMs how long a key is known, in milliseconds */
  constructor(private readonly lifeMs: number) {}

  /**
   * What was stored with a key; undefined where it is not known.
   *
   * @throws KeyReusedError where that had another content
   */
  find(feed: string, key: string, content: Content): KnownKey | undefined {
    const known = this.keys.get(nameOf(feed, key));
    if (!known || this.isExpired(known)) return undefined;
    if (known.digest !== digestOf(content)) throw new KeyReusedError(feed);
    return known;
  }

  add(key: string, { feed, offset, time, ...content }: StoredMessage): void {
    const name = nameOf(feed, key);
    this.keys.delete(name); // an expired one would keep its place
    this.keys.set(name, { digest: digestOf(content), offset, time });
    this.expiry ??= setTimeout(() => this.expire(), this.lifeMs).unref();
  }

  /** Forgets the keys of a feed. */
  forget(feed: string): void {
    const start = nameOf(feed, '');
    for (const name of this.keys.keys()) if (name.startsWith(start)) this.keys.delete(name);
  }

  clear(): void {
    clearTimeout(this.expiry);
    this.keys.clear();
  }

  private isExpired({ time }: KnownKey): boolean {
    return time + this.lifeMs <= Date.now();
  }

  private expire(): void {
    this.expiry = undefined;
    for (const [name, known] of this.keys) {
      if (!this.isExpired(known)) {
        this.expiry = setTimeout(() => this.expire(), Math.max(1000, known.time + this.lifeMs - Date.now())).unref();
        return;
      }
      this.keys.delete(name);
    }
  }
}

/** A feed's id has no spaces. */
function nameOf(feed: string, key: string): string {
  return `${feed} ${key}`;
}
