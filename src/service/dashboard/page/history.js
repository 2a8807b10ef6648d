/** How far back the page remembers, in seconds: a number each second. */
export const span = 600;
/** A pause that long, in seconds, is shown as one. */
const pause = 5;

/** What is remembered of each second. */
const names = ['open', 'messages', 'bytes', 'opened', 'closed', 'perConnection', 'unsent', 'delay'];

const sum = (counts) => Object.values(counts).reduce((total, count) => total + count, 0);

/** The numbers of the last ten minutes, and the rates that follow from them. */
export class History {
  times = [];
  values = Object.fromEntries(names.map((name) => [name, []]));
  #all = [];

  /** Adds the numbers of a moment; returns them with their rates. */
  add(numbers) {
    const { time, counts } = numbers;
    const before = this.#all.at(-1);
    const seconds = before && (time - before.time) / 1000;
    const isApart = seconds > pause;
    // Counts fall where a worker has taken another's place.
    const rate = (of) => (before && !isApart ? Math.max(0, of(counts) - of(before.counts)) / Math.max(0.2, seconds) : null);
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
    if (isApart) this.#push(before.time / 1000 + 1, {});
    this.#push(time / 1000, now);
    this.#all.push(numbers);
    while (this.times[0] < time / 1000 - span) for (const list of [this.times, ...Object.values(this.values)]) list.shift();
    while (this.#all[0].time < time - span * 1000) this.#all.shift();
    return now;
  }

  /** The numbers as they were so many seconds ago, or as far back as they are known. */
  ago(seconds) {
    const last = this.#all.at(-1);
    return this.#all.find(({ time }) => time >= last.time - seconds * 1000);
  }

  /** The lowest and the highest of what is remembered. */
  range(name) {
    const known = this.values[name].filter((value) => value !== null);
    return [Math.min(...known), Math.max(...known)];
  }

  #push(time, values) {
    this.times.push(time);
    for (const name of names) this.values[name].push(values[name] ?? null);
  }
}
