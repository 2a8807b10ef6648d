import type { Source, Tap } from './source.js';
import type { Subscription } from './subscription.js';

/**
 * Has a subscription that begins elsewhere than the others of its feed catch up, by a connection of its own.
 *
 * @param makeHub makes what holds that connection
 */
export function catchUp(subscription: Subscription, makeHub: (tap: Tap) => Source): Promise<void> {
  return new Promise<void>((resolve) => {
    const { feed, since, isCatchingUp } = subscription;
    if (!isCatchingUp) return resolve();
    const finish = (call: () => void) => {
      hub.close();
      subscription.stop = undefined;
      if (subscription.isCatchingUp) call();
      resolve();
    };
    const release = (position?: string) => finish(() => subscription.release(position));
    const hub = makeHub({
      next: (message) => subscription.isCatchingUp && subscription.replay(message),
      mark: release,
      end: () =>
        finish(() => {
          subscription.release();
          subscription.end();
        }),
      fail: (_, error) => finish(() => subscription.fail(error)),
    });
    subscription.stop = () => finish(() => {});
    // Of a source there is nothing to catch up with.
    hub.status.subscribe(({ state }) => state === 'live' && release());
    const ignore = () => {};
    // What comes is taken from the tap.
    hub.join({ feed, since, isCatchingUp, next: ignore, replay: ignore, hold: ignore, release: ignore, end: ignore, fail: ignore });
  });
}
