/** Silence after which the numbers count as old, in milliseconds. */
const silenceMs = 4000;
/** How often the page polls while it cannot follow the feed, and after how many polls it tries the feed again. */
const pollMs = 2000;
const pollsPerTry = 3;

/**
 * Gets the numbers: from the service's feed, or by polling while that is rejected.
 *
 * @param onNumbers gets the numbers
 * @param onState gets `live`, `polling` (the feed is rejected, as at the connection limit) or `lost`
 */
export function followNumbers(onNumbers, onState) {
  let receivedAt = performance.now();
  let openedAt = receivedAt;
  let polls = 0;
  let source;

  const receive = (numbers, state) => {
    onNumbers(numbers);
    receivedAt = performance.now();
    onState(state);
  };

  const open = () => {
    openedAt = performance.now();
    source = new EventSource('dashboard/feed');
    source.onmessage = ({ data }) => {
      polls = 0;
      receive(JSON.parse(data), 'live');
    };
    // The browser reconnects by itself after a lost connection, and not after a rejection.
    source.onerror = () => {
      if (source.readyState === EventSource.CLOSED) poll();
    };
  };

  // Runs only while the source is closed, so that there is one loop.
  const poll = async () => {
    try {
      const response = await fetch('dashboard/now', { signal: AbortSignal.timeout(pollMs * 2) });
      if (response.status === 401) location.reload();
      if (response.ok) receive(await response.json(), 'polling');
    } catch {
      // The service is down, or something else responds in its place, such as a proxy.
    }
    polls += 1;
    setTimeout(polls % pollsPerTry === 0 ? open : poll, pollMs);
  };

  setInterval(() => {
    const now = performance.now();
    if (now - receivedAt > silenceMs) onState('lost');
    // To the browser, a connection that broke without notice is still open, and one that hangs is still connecting.
    if (now - Math.max(receivedAt, openedAt) > silenceMs && source.readyState !== EventSource.CLOSED) {
      source.close();
      poll();
    }
  }, 500);
  open();
}
