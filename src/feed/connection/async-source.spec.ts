import { setImmediate as turn } from 'node:timers/promises';
import { AsyncSource } from './async-source.js';

async function* numbers(to: number): AsyncGenerator<number> {
  for (let n = 1; n <= to; n += 1) yield n;
}

it('leaves turns of the event loop to others, however fast its iterable and its client are', async () => {
  const taken: number[] = [];
  let complete = () => {};
  const completed = new Promise<void>((resolve) => {
    complete = resolve;
  });
  const observer = { isFull: false, next: (n: number) => void taken.push(n), error: () => {}, complete };
  new AsyncSource(numbers(1000), observer);
  await turn();
  expect(taken.length).toBeLessThan(100);
  await completed;
  expect(taken).toEqual(Array.from({ length: 1000 }, (_, index) => index + 1));
});
