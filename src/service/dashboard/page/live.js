/** Silence after which the numbers count as old, in milliseconds. */
const silence = 4000;
/** How often the page asks while it cannot have the feed, and at how many of these it tries the feed again. */
const pollMs = 2000;
const polls = 3;

/**
 * Has the numbers told as they come: by the service's own feed, and where that is refused, by asking.
 *
 * @param onNumbers told the numbers
 * @param onState told `live`, `asking` (all connections are taken, or something else speaks against a feed) or `lost`
 */
export function watch(onNumbers, onState) {
  let heardAt = performance.now();
  let openedAt = heardAt;
  let asked = 0;
  let source;

  const heard = (numbers, state) => {
    onNumbers(numbers);
    heardAt = performance.now();
    onState(state);
  };

  const open = () => {
    openedAt = performance.now();
    source = new EventSource('dashboard/feed');
    source.onmessage = ({ data }) => {
      asked = 0;
      heard(JSON.parse(data), 'live');
    };
    // What breaks off is opened again by the browser; what is refused is not.
    source.onerror = () => {
      if (source.readyState === EventSource.CLOSED) ask();
    };
  };

  // Only while the source is closed, so that there is one loop: it asks, or it waits for the source.
  const ask = async () => {
    try {
      const response = await fetch('dashboard/now', { signal: AbortSignal.timeout(pollMs * 2) });
      if (response.status === 401) location.reload();
      if (response.ok) heard(await response.json(), 'asking');
    } catch {
      // It is not there, or what answers is not the service (a proxy's page): asked again.
    }
    asked += 1;
    setTimeout(asked % polls === 0 ? open : ask, pollMs);
  };

  setInterval(() => {
    const now = performance.now();
    if (now - heardAt > silence) onState('lost');
    // A connection that breaks without a word is open for all the browser knows, and one that is being opened may hang as long.
    if (now - Math.max(heardAt, openedAt) > silence && source.readyState !== EventSource.CLOSED) {
      source.close();
      ask();
    }
  }, 500);
  open();
}
