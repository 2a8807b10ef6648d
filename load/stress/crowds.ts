import { Follower } from '../lib/follower.js';
import { atRate, until } from '../lib/waits.js';

/** Opens the connections of followers, so many a second, and waits for their answers. */
export async function open<F extends Follower>(count: number, perSecond: number, url: URL, follower: (n: number) => F): Promise<F[]> {
  const followers = Array.from({ length: count }, (_, n) => follower(n));
  await atRate(count, perSecond, (n) => followers[n].connect(url));
  await until(() => followers.every(({ status }) => status > 0));
  return followers;
}

/** Looks how long it got nothing. */
export class Reader extends Follower {
  largestSilenceMs = 0;
  #lastAt: number | undefined = undefined;

  override message(message: Parameters<Follower['message']>[0]): void {
    super.message(message);
    const now = performance.now();
    this.largestSilenceMs = Math.max(this.largestSilenceMs, now - (this.#lastAt ?? now));
    this.#lastAt = now;
  }
}

/** Takes what comes, and does not look at it. */
export class Idler extends Follower {
  override message(): void {}
  protected override rejected(): void {}
  protected override ended(): void {}
}
