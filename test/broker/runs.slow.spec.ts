import { setTimeout as sleep } from 'node:timers/promises';
import { describeSharedBrokers, engineOf } from '../support/brokers.js';
import { Run, type Served } from '../support/run.js';
import { until } from '../support/until.js';

interface Line {
  readonly id: string;
  readonly type?: string;
  readonly data: unknown;
}

/** A client that follows a feed from where it was, on whichever node. */
class Reader {
  readonly lines: Line[] = [];
  private cut = new AbortController();

  constructor(private readonly feed: string) {}

  /** Follows until the response ends, or `leave()`; resolves with its status. */
  async follow({ url }: Served): Promise<number> {
    const { signal } = this.cut;
    const last = this.lines.at(-1)?.id;
    try {
      const response = await fetch(`${url}/feeds/${this.feed}?format=ndjson&since=earliest`, {
        signal,
        headers: last === undefined ? {} : { 'last-event-id': last },
      });
      let text = '';
      for await (const chunk of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
        text += chunk;
        const lines = text.split('\n');
        text = lines.pop() as string;
        this.lines.push(...lines.filter((line) => line !== '').map((line) => JSON.parse(line) as Line));
      }
      return response.status;
    } catch (error) {
      if (!signal.aborted) throw error;
      return 0;
    }
  }

  leave(): void {
    this.cut.abort();
    this.cut = new AbortController();
  }

  get end(): unknown {
    return this.lines.find(({ type }) => type === 'end')?.data;
  }

  get text(): string {
    return this.lines
      .filter(({ type }) => type === undefined)
      .map(({ data }) => data)
      .join('');
  }
}

const wordsOf = (count: number) => Array.from({ length: count }, (_, n) => `t${n} `).join('');

describeSharedBrokers('runs over processes:', (kind) => {
  if (kind.client !== undefined) return;
  let nodes: [Served, Served, Served];
  beforeEach(async () => {
    const engine = await engineOf(kind);
    const start = () =>
      Run.serving(['test/support/run-node.mjs'], /http:\/\/\S+:\d+/, { BROKER: `${kind.name}://127.0.0.1:${engine?.port}` });
    nodes = (await Promise.all([start(), start(), start()])) as [Served, Served, Served];
  });
  afterEach(() => Run.endAll());

  const run = async ({ url }: Served, id: string, count: number, everyMs: number, onLost = 'fail') => {
    const query = `count=${count}&everyMs=${everyMs}&onLost=${onLost}`;
    const response = await fetch(`${url}/runs/${id}?${query}`, { method: 'POST' });
    return ((await response.json()) as { state: string }).state;
  };
  const produced = (id: string) => nodes.map(({ out }) => out.split(`producing ${id}\n`).length - 1);

  it('2,000 tokens at 100 a second reach a client that reloads ten times, on any node, each once', async () => {
    expect(await run(nodes[0], 'answer', 2000, 9)).toBe('started');
    const reader = new Reader('answer');
    for (let reload = 0; reload < 10; reload += 1) {
      const node = nodes[Math.floor(Math.random() * 3)] as Served;
      expect(await run(node, 'answer', 2000, 9)).toMatch(/joined|started/);
      const following = reader.follow(node);
      await sleep(Math.random() * 2500); // a moment of the run's twenty seconds
      reader.leave();
      await following;
    }
    expect(await reader.follow(nodes[2])).toBe(200);
    expect(reader.text).toBe(wordsOf(2000));
    expect(reader.end).toEqual({ reason: 'completed' });
    expect(await reader.follow(nodes[1])).toBe(204);
    expect(produced('answer')).toEqual([1, 0, 0]);
  });

  it('the node that runs it is killed: those who follow are told that it failed', async () => {
    expect(await run(nodes[0], 'killed', 1e6, 10)).toBe('started');
    const readers = [nodes[1], nodes[2]].map((node) => {
      const reader = new Reader('killed');
      return { reader, following: reader.follow(node) };
    });
    await until(() => readers.every(({ reader }) => reader.lines.length > 20));
    nodes[0].child.kill('SIGKILL');
    for (const { reader, following } of readers) {
      expect(await following).toBe(200);
      expect(reader.end).toEqual({ reason: 'failed', message: 'The node that ran the producer of this feed is no longer available.' });
      expect(wordsOf(1e4).startsWith(reader.text)).toBe(true);
    }
  });

  it('the node that runs it is killed, and another one begins anew where it can', async () => {
    expect(await run(nodes[0], 'again', 300, 10, 'restart')).toBe('started');
    expect(await run(nodes[1], 'again', 300, 10, 'restart')).toBe('joined');
    const reader = new Reader('again');
    const following = reader.follow(nodes[2]);
    await until(() => reader.lines.length > 20);
    nodes[0].child.kill('SIGKILL');
    await following;
    const reset = reader.lines.findIndex(({ type }) => type === 'reset');
    expect(reset).toBeGreaterThan(20);
    reader.lines.splice(0, reset);
    expect(reader.text).toBe(wordsOf(300));
    expect(reader.end).toEqual({ reason: 'completed' });
    expect(produced('again')).toEqual([1, 1, 0]);
  });

  it('the node that runs it is halted, and loses the feed: what it makes when it goes on reaches nobody', async () => {
    expect(await run(nodes[0], 'halted', 1e6, 10)).toBe('started');
    const reader = new Reader('halted');
    const following = reader.follow(nodes[1]);
    await until(() => reader.lines.length > 20);
    nodes[0].child.kill('SIGSTOP');
    await following;
    expect(reader.end).toMatchObject({ reason: 'failed' });
    nodes[0].child.kill('SIGCONT');
    await until(() => nodes[0].out.includes('aborted halted'));
    const late = new Reader('halted');
    await late.follow(nodes[2]);
    expect(late.lines).toEqual(reader.lines);
    expect(late.lines.at(-1)?.type).toBe('end');
    expect(await run(nodes[0], 'halted', 1, 1)).toBe('ended');
  });
});
