import fc from 'fast-check';
import { BoundedQueue } from './bounded-queue.js';

it('is an array of which the oldest items are dropped', () => {
  const step = fc.oneof(fc.record({ push: fc.nat(20) }), fc.record({ take: fc.nat(8) }));
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 7 }), fc.array(step), (capacity, steps) => {
      const queue = new BoundedQueue<number>(capacity);
      const model: number[] = [];
      let next = 0;
      for (const { push = 0, take = 0 } of steps as { push?: number; take?: number }[]) {
        for (let n = 0; n < push; n += 1) {
          next += 1;
          model.push(next);
          expect(queue.push(next)).toBe(model.length > capacity);
          model.splice(0, model.length - capacity);
        }
        expect(queue.take(take)).toEqual(model.splice(0, take));
        expect(queue.length).toBe(model.length);
      }
    }),
  );
});
