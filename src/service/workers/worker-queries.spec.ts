import type { Query } from './messages.js';
import { WorkerQueries } from './worker-queries.js';

/** Workers that respond when the test says so. */
class FakeWorkers {
  readonly requests: { pid: number; request: number; query: Query }[] = [];
  readonly queries: WorkerQueries;

  constructor(pids: number[], timeoutMs?: number) {
    const workers = pids.map((pid) => ({ pid, request: (request: number, query: Query) => this.requests.push({ pid, request, query }) }));
    this.queries = new WorkerQueries(() => workers, timeoutMs);
  }

  query(name: string, argument?: string) {
    return this.queries.query({ name, argument });
  }

  /** Responds to all requests so far. */
  respond(text: string): void {
    for (const { pid, request } of this.requests.splice(0)) this.queries.onResponse(pid, request, `${text} of ${pid}`);
  }
}

const both = (text: string) => ({ responses: [1, 2].map((pid) => ({ pid, value: `${text} of ${pid}` })), missing: [] });

describe('queries to workers', () => {
  it('are shared by all that are made meanwhile, and their result is never older than the query', async () => {
    const workers = new FakeWorkers([1, 2]);
    const first = workers.query('counts');
    const [second, third] = [workers.query('counts'), workers.query('counts')];
    const other = workers.query('count', 'a');
    expect(workers.requests).toHaveLength(4);
    workers.respond('first');
    expect(await first).toEqual(both('first'));
    expect(await other).toEqual(both('first'));
    expect(workers.requests).toHaveLength(2);
    workers.respond('second');
    expect(await Promise.all([second, third])).toEqual([both('second'), both('second')]);
    const fourth = workers.query('counts');
    workers.respond('third');
    expect(await fourth).toEqual(both('third'));
  });

  it('name the workers that do not respond, and do not wait for those that have exited', async () => {
    const { queries } = new FakeWorkers([1, 2, 3], 1);
    const result = queries.query({ name: 'counts' });
    queries.onResponse(3, 1, 'here');
    queries.onResponse(3, 1, 'twice');
    queries.onExit(2);
    expect(await result).toEqual({ responses: [{ pid: 3, value: 'here' }], missing: [1] });
    queries.onResponse(1, 1, 'too late');
    expect(await new FakeWorkers([]).query('counts')).toEqual({ responses: [], missing: [] });
  });
});
