import { Counter, Gauge, type Metric, type Registry } from 'prom-client';
import type { Distribution } from '../feed/stats/distribution.js';

type Labels = Record<string, string>;

/** What is counted elsewhere, and read at each scrape. */
export type Read<Value> = () => Iterable<readonly [labels: Labels, value: Value]>;

/** Adds a counter to a registry; values with the same labels are added up. */
export function readCounter(registry: Registry, name: string, help: string, labelNames: string[], read: Read<number>): void {
  new Counter({
    name,
    help,
    labelNames,
    registers: [registry],
    collect() {
      this.reset();
      for (const [labels, value] of read()) this.inc(labels, value);
    },
  });
}

/** Adds a gauge to a registry. */
export function readGauge(registry: Registry, name: string, help: string, labelNames: string[], read: Read<number>): void {
  new Gauge({
    name,
    help,
    labelNames,
    registers: [registry],
    collect() {
      this.reset();
      for (const [labels, value] of read()) this.set(labels, value);
    },
  });
}

/** Adds a histogram to a registry. prom-client's own can only be added to, at a price for each value. */
export function readHistogram(registry: Registry, name: string, help: string, read: Read<Distribution>): void {
  const type = 'histogram';
  const get = async () => ({ name, help, type, values: [...read()].flatMap(([labels, values]) => samplesOf(name, labels, values)) });
  registry.registerMetric({ name, help, type, get, reset() {} } as unknown as Metric);
}

function samplesOf(name: string, labels: Labels, { bounds, counts, sum, count }: Distribution) {
  let total = 0;
  const buckets = [...bounds, '+Inf'].map((le, n) => {
    total += counts[n] as number;
    return { metricName: `${name}_bucket`, labels: { ...labels, le }, value: total };
  });
  return [
    ...buckets,
    { metricName: `${name}_sum`, labels: { ...labels }, value: sum },
    { metricName: `${name}_count`, labels: { ...labels }, value: count },
  ];
}
