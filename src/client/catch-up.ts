import type { ConnectionObserver, Hub } from './hub-types.js';
import type { Subscription } from './subscription.js';

/** Those that somebody lets catch up already. */
const busy = new WeakSet<Set<Subscription>>();

/**
 * Has subscriptions that begin elsewhere than the others of their feeds catch up, one after the other, by a connection of their own.
 *
 * @param pending those that come meanwhile are a part of it
 * @param makeHub makes what holds that connection
 */
export async function catchUp(pending: Set<Subscription>, makeHub: (observer: ConnectionObserver) => Hub): Promise<void> {
  if (busy.has(pending)) return;
  busy.add(pending);
  for (const subscription of pending) {
    pending.delete(subscription);
    await follow(subscription, makeHub);
  }
  busy.delete(pending);
}

function follow(subscription: Subscription, makeHub: (observer: ConnectionObserver) => Hub): Promise<void> {
  return new Promise<void>((resolve) => {
    const { feed, since, isCatchingUp } = subscription;
    if (!isCatchingUp) return resolve();
    const ignore = () => {};
    // What comes is taken from the observer.
    const own = { feed, since, isCatchingUp, next: ignore, replay: ignore, hold: ignore, release: ignore, end: ignore, fail: ignore };
    const finish = (call: () => void) => {
      hub.leave(own);
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
    hub.join(own);
  });
}
