import { concat, interval, map, NEVER, of } from 'rxjs';
import type { FeedSource } from './source.js';

/**
 * The source that a feed has when none is given: a greeting at once, then a numbered chunk each period, counted from 1 for
 * each connection.
 *
 * @param intervalMs the period in milliseconds; 0 makes a source that says nothing
 */
export function intervalSource(intervalMs: number): FeedSource {
  if (intervalMs === 0) return () => NEVER;
  return ({ url }) =>
    concat(of(`Nestconntest welcomes you! Your Id: ${url}`), interval(intervalMs).pipe(map((n) => `Chunk ${n + 1} for id ${url}`)));
}
