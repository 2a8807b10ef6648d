/** Replies after which a new connection is needed: to the new master, or to the slot's new owner. */
const staleReplies = /^(READONLY|MOVED|ASK|CLUSTERDOWN|MASTERDOWN|LOADING|UNBLOCKED)\b/;
/** Replies that come before a script has written anything. LATE is our own. */
const earlyReplies = /^(NOSCRIPT|OOM|MOVED|ASK|TRYAGAIN|LOADING|READONLY|NOREPLICAS|CLUSTERDOWN|MASTERDOWN|MISCONF|BUSY|NOAUTH|LATE)\b/;

/** An answer of Redis, in contrast to a connection that is lost. */
export function isReply(error: unknown): error is Error {
  // By its name: an application's own client may come from another copy of ioredis.
  return error instanceof Error && error.name === 'ReplyError';
}

/** Whether the connection is of no use any more. */
export function isStale(error: unknown): boolean {
  return isReply(error) && staleReplies.test(error.message);
}

/** Whether a message has not been stored, and will not be: any other failure leaves that open. */
export function isNotStored(error: unknown): boolean {
  return isReply(error) && earlyReplies.test(error.message);
}

/** Whether Redis is available and rejects a command: for want of memory, of replicas, or of a permission. */
export function isRejection(error: unknown): error is Error {
  return isReply(error) && !isStale(error) && !error.message.startsWith('LATE');
}
