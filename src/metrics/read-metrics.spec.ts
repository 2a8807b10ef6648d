import fc from 'fast-check';
import { Histogram, Registry } from 'prom-client';
import { Distribution } from '../feed/stats/distribution.js';
import { readHistogram } from './read-metrics.js';

const bounds = [0.001, 0.25, 1, 60];

describe('readHistogram', () => {
  it("is written as prom-client's own is", async () => {
    const value = fc.oneof(fc.constantFrom(0, ...bounds), fc.double({ min: 0, max: 100, noNaN: true }));
    await fc.assert(
      fc.asyncProperty(fc.array(value), async (values) => {
        const [own, read] = [new Registry(), new Registry()];
        const histogram = new Histogram({ name: 'lag', help: 'A lag.', labelNames: ['rule'], buckets: bounds, registers: [own] });
        const distribution = new Distribution(bounds);
        readHistogram(read, 'lag', 'A lag.', () => [[{ rule: 'a/*' }, distribution]]);
        histogram.zero({ rule: 'a/*' });
        for (const each of values) {
          histogram.observe({ rule: 'a/*' }, each);
          distribution.add(each);
        }
        const linesOf = async (registry: Registry) =>
          (await registry.metrics()).replaceAll(/\{(.*?)\}/g, (_, labels: string) => `{${labels.split(',').toSorted()}}`);
        expect(await linesOf(read)).toBe(await linesOf(own));
      }),
    );
  });
});
