import { NEVER, Observable } from 'rxjs';
import type { FeedSource } from './source.js';
import { ticks } from './ticks.js';

/**
 * A source that greets its client at once, then sends a numbered chunk each period, counted from 1 for each connection.
 *
 * @param intervalMs the period in milliseconds; 0 makes a source that emits nothing
 */
export function intervalSource(intervalMs: number): FeedSource {
  if (intervalMs === 0) return () => NEVER;
  const period = ticks(intervalMs);
  return ({ url }) =>
    new Observable<string>((subscriber) => {
      subscriber.next(`Nestconntest welcomes you! Your Id: ${url}`);
      let count = 0;
      return period.subscribe(() => {
        count += 1;
        subscriber.next(`Chunk ${count} for id ${url}`);
      });
    });
}
