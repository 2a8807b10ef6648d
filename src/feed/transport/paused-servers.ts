/** Servers that do not listen for a while, and go on with what they have accepted: every other server that does not listen is closed. */
export const pausedServers = new WeakSet<object>();
