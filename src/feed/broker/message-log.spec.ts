import { storedMessage } from '../message/message.js';
import { MessageLog } from './message-log.js';

const epoch = 'e';
const logOf = (...feeds: string[]) => {
  const log = new MessageLog(epoch, { historyLength: 10, historyTtlMs: 60_000, historyBytes: 1e6, historyTotalBytes: 1e6 });
  for (const [n, feed] of feeds.entries())
    log.append(storedMessage(feed, epoch, n + 1, Date.now(), { type: undefined, text: `${n + 1}`, isJson: false }));
  return log;
};
const read = (log: MessageLog, feed: string, offset: number) => {
  const { messages, isReset } = log.read(feed, { epoch, offset }, 1e6);
  return [isReset, ...messages.map((message) => message.offset)];
};

describe('MessageLog', () => {
  it('forgets the messages of a feed up to an offset, and tells that a position before it is gone', () => {
    const log = logOf('a', 'b', 'a', 'b', 'a');
    log.forget('a', 4);
    expect(read(log, 'a', 3)).toEqual([true, 5]);
    expect(read(log, 'a', 4)).toEqual([false, 5]);
    expect(read(log, 'b', 1)).toEqual([false, 2, 4]);
    log.forget('a', 5);
    expect(read(log, 'a', 4)).toEqual([true]);
    expect(read(log, 'a', 5)).toEqual([false]);
    expect([log.newestOf('a'), log.newestOf('b')?.offset]).toEqual([undefined, 4]);
    log.clear();
  });

  it('forgets the messages of all feeds up to an offset, also of those that it never had any of', () => {
    const log = logOf('a', 'b', 'a', 'b');
    log.forgetAll(2);
    expect([read(log, 'a', 1), read(log, 'b', 1), read(log, 'c', 1)]).toEqual([[true, 3], [true, 4], [true]]);
    expect([read(log, 'a', 2), read(log, 'b', 2), read(log, 'c', 2)]).toEqual([[false, 3], [false, 4], [false]]);
    log.clear();
  });
});
