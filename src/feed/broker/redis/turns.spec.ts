import { Turns } from './turns.js';

describe('turns', () => {
  it('let so many run at a time, in the order in which they came, also after one that fails', async () => {
    const turns = new Turns(2);
    const begun: number[] = [];
    const ends: ((error?: Error) => void)[] = [];
    const take = (n: number) =>
      turns.take(
        () =>
          new Promise<number>((resolve, reject) => {
            begun.push(n);
            ends.push((error) => (error ? reject(error) : resolve(n)));
          }),
      );
    const [first, second, third, fourth] = [take(1), take(2), take(3), take(4)];
    expect(begun).toEqual([1, 2]);
    ends[1]?.();
    expect(await second).toBe(2);
    ends[0]?.(new Error('no'));
    await expect(first).rejects.toThrow('no');
    expect(begun).toEqual([1, 2, 3, 4]);
    ends[2]?.();
    ends[3]?.();
    expect(await Promise.all([third, fourth])).toEqual([3, 4]);
    // All places are free again.
    const more = [take(5), take(6), take(7)];
    expect(begun).toEqual([1, 2, 3, 4, 5, 6]);
    for (const n of [4, 5, 6]) {
      ends[n]?.();
      await more[n - 4];
    }
  });

  it('fail those that wait, and none that runs', async () => {
    const turns = new Turns(1);
    let end = () => {};
    const running = turns.take(() => new Promise<void>((resolve) => (end = resolve)));
    const waiting = turns.take(async () => {});
    turns.fail(new Error('over'));
    await expect(waiting).rejects.toThrow('over');
    end();
    await running;
  });
});
