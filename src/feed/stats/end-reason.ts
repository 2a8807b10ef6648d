/** Why connections end: the one list that counts, logs and health answers share. */
export const endReasons = [
  /** the client left, or its connection broke */
  'client',
  /** the client read too slowly: more than `bufferBytes` waited for it */
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
  /** the service shuts down */
  'drained',
] as const;

export type EndReason = (typeof endReasons)[number];
