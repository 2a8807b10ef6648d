import { PublishedMessage } from '../message/message.js';
import { Mark, replayOf } from './replay.js';

const message = (feed: string, offset: number) => new PublishedMessage(feed, 'e', offset, 0, undefined, 'x', false);
const history = (after: number, end: number, ...messages: PublishedMessage[]) => ({
  messages,
  after: { epoch: 'e', offset: after },
  end,
  isReset: false,
});

describe('a replay of several feeds', () => {
  it.each([true, false])('leaves to what is live what came between the first reading and the last (resumed: %s)', (isResumed) => {
    const feeds = ['a', 'b'];
    const histories = [history(1, 4, message('a', 3)), history(1, 7, message('b', 2), message('b', 6))];
    const { start, items, covered } = replayOf(feeds, histories, isResumed);
    expect(start.offset).toBe(1);
    expect(items.flatMap((item) => (item instanceof Mark ? [] : [item.feed]))).toEqual(['b', 'a']);
    expect([...covered]).toEqual([
      ['a', 4],
      ['b', 4],
    ]);
    if (!isResumed) expect((items.at(-1) as Mark).position).toBe('e-4');
  });
});
