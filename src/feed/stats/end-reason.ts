/**
 * Why connections end: counts, logs, events and health answers use these words. `Connection.end()` drops or sends what waits, by the reason, and
 * `Sender.finish()` ends the response accordingly.
 */
export const endReasons = [
  /** the client left, or its connection broke */
  'client',
  /** the client read too slowly: more than `bufferBytes` waited for it, or `totalBufferBytes` for all clients */
  'slow',
  /** bytes waited for the client, and none moved for `stallMs` */
  'stalled',
  /** its token expired */
  'expired',
  /** it was open for `maxAgeMs`, less some jitter */
  'aged',
  /** the source came to its end, or the application ended the feed */
  'completed',
  /** the source failed */
  'error',
  /** the service is shutting down */
  'drained',
  /** an operator, or the application, ended it: `FeedService.disconnect()` */
  'disconnected',
  /** its token, or all tokens of its subject, were revoked: `FeedService.revoke()` */
  'revoked',
  /** its node was lost, as the other nodes tell it */
  'lost',
] as const;

export type EndReason = (typeof endReasons)[number];
