import { judge } from '../../load/soak/verdict.js';

type Run = ReturnType<typeof healthy>;

const megabyte = 1024 ** 2;

/** A soak of a service that keeps nothing: what varies, varies about the same level. */
function healthy(lasted = 1800) {
  const before = { rssBytes: 90 * megabyte, descriptors: 21, heapBytes: 20 * megabyte, resources: { PipeWrap: 2, TCPServerWrap: 1 } };
  return {
    options: { rate: 555 },
    lasted,
    isWhole: true,
    published: 180_000,
    crowd: { begun: 1_000_000, answered: 980_000, cut: 980, slow: 1000, received: 5_000_000, faults: new Map<string, number>() },
    samples: Array.from({ length: lasted }, (_, n) => {
      const open = 2000 + 100 * Math.sin(n);
      return {
        at: n + 1,
        open,
        rssBytes: (150 + 5 * Math.sin(n / 7)) * megabyte,
        heapBytes: (40 + 20 * ((n % 9) / 9)) * megabyte,
        descriptors: open + 25,
        resources: { TCPSocketWrap: open, TCPServerWrap: 1 },
      };
    }),
    before,
    after: { ...before, heapBytes: 22 * megabyte, resources: { ...before.resources } as Record<string, number> },
    counts: { open: 0, feeds: 0, handedOver: 0, bufferedBytes: 0, rejected: 0, ...counted() },
    code: 0,
    complaints: '',
  };
}

/** What a service counts that has closed all that it opened. */
function counted(changed: Record<string, number> = {}) {
  const closed = { client: 999_000, slow: 990, stalled: 0, expired: 0, aged: 0, completed: 0, error: 0, drained: 0, ...changed };
  return { opened: Object.values(closed).reduce((sum, count) => sum + count), closed };
}

/** What is not ok once the run was changed. */
function failing(change: (run: Run) => unknown, lasted?: number): string[] {
  const run = healthy(lasted);
  change(run);
  return judge(run)
    .filter(({ ok }) => !ok)
    .map(({ what }) => what);
}

describe('the verdict on a soak', () => {
  it.each([30, 300, 1800])('finds no fault with a service that keeps nothing, after %d s', (lasted) => {
    expect(failing((run) => Object.assign(run.options, { rate: 500 }), lasted)).toEqual([]);
  });

  it.each<[string, (run: Run) => unknown, RegExp]>([
    ['a lost message', ({ crowd }) => crowd.faults.set('messages lost', 1), /lost/],
    ['a descriptor', ({ after }) => Object.assign(after, { descriptors: 22 }), /^descriptors left over/],
    ['a timer', ({ after }) => Object.assign(after.resources, { Timeout: 1 }), /^handles left over/],
    ['heap', ({ after }) => Object.assign(after, { heapBytes: 30 * megabyte }), /^heap left over/],
    ['a feed that is followed', ({ counts }) => Object.assign(counts, { feeds: 1 }), /still counts$/],
    ['a connection that was not closed', ({ counts }) => Object.assign(counts.closed, { client: 998_999 }), /count as closed$/],
    ['connections that nobody began', ({ counts }) => Object.assign(counts, counted({ client: 999_500 })), /^opened, as it counts/],
    ['readers that were not slow', ({ counts }) => Object.assign(counts, counted({ client: 998_000, slow: 1990 })), /^closed as slow/],
    ['an error', ({ counts }) => Object.assign(counts, counted({ client: 998_999, error: 1 })), /^closed for another reason/],
    ['an exit code', (run) => Object.assign(run, { code: 1 }), /^ended with/],
    ['a warning', (run) => Object.assign(run, { complaints: 'MaxListenersExceededWarning' }), /^said on stderr/],
    ['a machine that is too slow', ({ crowd }) => Object.assign(crowd, { begun: 800_000 }), /^connections|as it counts$/],
    ['a service that is gone', (run) => Object.assign(run, { after: undefined, counts: undefined }), /at rest/],
  ])('finds %s', (_, change, what) => {
    const found = failing(change);
    expect(found.length).toBeGreaterThan(0);
    for (const each of found) expect(each).toMatch(what);
  });

  it('finds RSS that grows by a fifth, as a ratio and as a trend', () => {
    const grow = (run: Run) => {
      for (const sample of run.samples) sample.rssBytes *= 1 + (0.2 * sample.at) / run.lasted;
    };
    expect(failing(grow)).toEqual([expect.stringMatching(/^RSS at the end/), 'trend of the RSS']);
  });

  it('finds a heap whose floor rises below its garbage', () => {
    const grow = (run: Run) => {
      for (const sample of run.samples) sample.heapBytes += ((20 * sample.at) / run.lasted) * megabyte;
    };
    expect(failing(grow)).toEqual(['trend of the heap']);
  });

  it('finds descriptors and handles that are more and more than connections', () => {
    const grow = (run: Run) => {
      for (const sample of run.samples) {
        sample.descriptors += sample.at;
        sample.resources.TCPSocketWrap += sample.at;
      }
    };
    expect(failing(grow)).toEqual([expect.stringMatching(/^trend of the descriptors/), expect.stringMatching(/^trend of the handles/)]);
  });
});
