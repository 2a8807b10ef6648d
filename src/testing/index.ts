export type { FeedMessage } from '../feed/message/message.js';
export { FeedTimeoutError, FollowError } from './errors.js';
export { expectMessages } from './expect-messages.js';
export { FeedRecorder } from './feed-recorder.js';
export type { FollowOptions } from './follow.js';
export { follow } from './follow.js';
export type { FeedMessages } from './messages.js';
export type { TimeLimit } from './time-limit.js';
