import { constants, gunzipSync } from 'node:zlib';
import type { Peer } from './peer.js';
import { until } from './until.js';

/** What a decoder has of a gzip response so far. */
export function decoded({ body }: Peer): string {
  if (body === '') return '';
  return gunzipSync(Buffer.from(body, 'latin1'), { finishFlush: constants.Z_SYNC_FLUSH }).toString();
}

/**
 * All of a complete gzip response.
 *
 * @throws where it is incomplete, its checksum or its length is wrong, or anything is behind it
 */
export function decodedWhole({ body }: Peer): string {
  return gunzipSync(Buffer.from(body, 'latin1')).toString();
}

/** Waits until a decoder has this. */
export function decodes(peer: Peer, pattern: string | RegExp): Promise<void> {
  return until(() => (typeof pattern === 'string' ? decoded(peer).includes(pattern) : pattern.test(decoded(peer))));
}
