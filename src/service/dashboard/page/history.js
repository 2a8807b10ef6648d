/** How far back the history goes, in seconds, with one entry a second. */
export const span = 600;
/** A gap of this many seconds is shown as one. */
const gap = 5;

/** The values of each entry. */
const names = ['open', 'messages', 'bytes', 'opened', 'closed', 'perConnection', 'unsent', 'delay'];

const sum = (counts) => Object.values(counts).reduce((total, count) => total + count, 0);

/** The numbers of the last ten minutes, and their rates. */
export class History {
  times = [];
  values = Object.fromEntries(names.map((name) => [name, []]));
  #all = [];

  /** Adds the current numbers, and returns their values and rates. */
  add(numbers) {
    const { time, counts } = numbers;
    const before = this.#all.at(-1);
    const seconds = before && (time - before.time) / 1000;
    const isGap = seconds > gap;
    // Counts decrease when a worker is replaced.
    const rate = (of) => (before && !isGap ? Math.max(0, of(counts) - of(before.counts)) / Math.max(0.2, seconds) : null);
    const now = {
      open: counts.open,
      messages: rate(({ messages }) => messages),
      bytes: rate(({ bytes }) => bytes),
      opened: rate(({ opened }) => opened),
      closed: rate(({ closed }) => sum(closed)),
      perConnection: counts.open > numbers.viewers ? counts.rssBytes / counts.open : null,
      unsent: counts.bufferedBytes,
      delay: counts.eventLoopDelayMs.p99,
    };
    if (isGap) this.#push(before.time / 1000 + 1, {});
    this.#push(time / 1000, now);
    this.#all.push(numbers);
    while (this.times[0] < time / 1000 - span) for (const list of [this.times, ...Object.values(this.values)]) list.shift();
    while (this.#all[0].time < time - span * 1000) this.#all.shift();
    return now;
  }

  /** The numbers of so many seconds ago, or the oldest ones. */
  ago(seconds) {
    const last = this.#all.at(-1);
    return this.#all.find(({ time }) => time >= last.time - seconds * 1000);
  }

  /** The lowest and the highest value. */
  range(name) {
    const known = this.values[name].filter((value) => value !== null);
    return [Math.min(...known), Math.max(...known)];
  }

  #push(time, values) {
    this.times.push(time);
    for (const name of names) this.values[name].push(values[name] ?? null);
  }
}
