import { setTimeout as sleep } from 'node:timers/promises';
import { knownTimes, type NatsFeeds } from './nats-feeds.js';
import type { NatsStream, StreamState } from './nats-stream.js';

/** How many answers are needed to believe that NATS has lost messages, and how long is waited in between, in milliseconds. */
const doubtfulAnswers = 4;
const doubtMs = 500;

/**
 * Begins another generation of the stream where NATS has lost messages that it had delivered, as after a power failure: other messages may
 * get their sequences under the same epoch, so that ids are ambiguous. It takes more than one answer to say so: a server that has just
 * become the leader may not have caught up. Nothing that is stored is deleted.
 */
export async function renewRewritten(stream: NatsStream, feeds: NatsFeeds, found: StreamState): Promise<StreamState> {
  let state = found;
  for (let n = 1; feeds.epoch === state.epoch && (await isRewritten(stream, feeds, state.last)); n += 1) {
    if (n === doubtfulAnswers) return stream.renew(state.epoch);
    await sleep(doubtMs);
    state = await stream.state();
  }
  return state;
}

async function isRewritten(stream: NatsStream, feeds: NatsFeeds, last: number): Promise<boolean> {
  const { offset } = feeds;
  if (last < offset) return true;
  const time = feeds.timeOf(offset);
  return time !== undefined && (await stream.has({ offset, time })) === 'another';
}

/** The offset up to which the stream has what this process has received, as far as it is known; 0 where that is nothing. */
export async function commonEnd(stream: NatsStream, feeds: NatsFeeds, last: number): Promise<number> {
  let high = Math.min(last, feeds.offset);
  let low = Math.max(0, high - knownTimes);
  let common = 0;
  while (low < high) {
    const offset = Math.ceil((low + high) / 2);
    const time = feeds.timeOf(offset);
    if (time !== undefined && (await stream.has({ offset, time })) === true) {
      common = offset;
      low = offset;
    } else high = offset - 1;
  }
  return common;
}
