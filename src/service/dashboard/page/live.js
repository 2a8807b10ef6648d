import { createFeedClient } from './client/index.js';

/** Silence after which the numbers count as old, in milliseconds. */
const silenceMs = 4000;
/** How often the page polls while it cannot follow the feed, and the longest that it waits before it tries the feed again. */
const [pollMs, maxMs] = [2000, 6000];

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/**
 * Gets the numbers: from the service's feed, or by polling while that is rejected.
 *
 * @param onNumbers gets the numbers
 * @param onState gets `live`, `polling` (the feed is rejected, as at the connection limit) or `lost`
 */
export function followNumbers(onNumbers, onState) {
  const feeds = createFeedClient({ url: 'dashboard', stallMs: silenceMs, retry: { maxMs } });
  const isLive = () => feeds.status.value.state === 'live';
  let receivedAt = performance.now();
  let isPolling = false;

  const receive = (numbers, state) => {
    onNumbers(numbers);
    receivedAt = performance.now();
    onState(state);
  };

  const follow = () =>
    feeds.follow('feed').subscribe({
      next: ({ data }) => receive(data, 'live'),
      error: () => setTimeout(follow, maxMs), // what rejects it may be something else, such as a proxy
    });

  const poll = async () => {
    try {
      const response = await fetch('dashboard/now', { signal: AbortSignal.timeout(pollMs * 2) });
      if (response.status === 401) location.reload();
      const numbers = response.ok && (await response.json());
      if (numbers && !isLive()) receive(numbers, 'polling');
    } catch {
      // The service is down, or something else responds in its place, such as a proxy.
    }
  };

  feeds.status.subscribe(async ({ state }) => {
    if (isPolling || !/waiting|failed/.test(state)) return;
    isPolling = true;
    for (; !isLive(); await sleep(pollMs)) await poll();
    isPolling = false;
  });

  setInterval(() => {
    if (performance.now() - receivedAt > silenceMs) onState('lost');
  }, 500);
  follow();
}
