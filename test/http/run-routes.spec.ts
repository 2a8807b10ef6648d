import { Controller, NotFoundException, Param } from '@nestjs/common';
import { Observable, type Subscriber } from 'rxjs';
import { Feed, FeedSignal } from '../../src/index.js';
import { Peer } from '../support/peer.js';
import { closeAll, platforms, type Served, serveFeeds, until } from '../support/serve.js';

/** A model whose answers a test gives word by word. */
class Model {
  calls = 0;
  words: Subscriber<string> | undefined;
  signal: AbortSignal | undefined;
}
const models = new Map<string, Model>();
const modelOf = (id: string) => {
  const model = models.get(id) ?? new Model();
  models.set(id, model);
  return model;
};

@Controller('answers')
class AnswersController {
  /** Waits as for the first word of a model, which fails in its own way when it is stopped. */
  @Feed('waiting/:kind/:id', { run: true })
  async waiting(@Param('kind') kind: string, @Param('id') id: string, @FeedSignal() signal: AbortSignal): Promise<never> {
    modelOf(id).calls += 1;
    return new Promise((_resolve, reject) => {
      if (kind === 'heeds') signal.addEventListener('abort', () => reject(signal.reason));
      if (kind === 'fails') signal.addEventListener('abort', () => reject(new Error('APIUserAbortError')));
    });
  }

  @Feed(':id', { run: { type: 'token' } })
  async answer(@Param('id') id: string, @FeedSignal() signal: AbortSignal) {
    const model = modelOf(id);
    model.calls += 1;
    if (id.startsWith('unknown')) throw new NotFoundException('There is no such question.');
    model.signal = signal;
    return new Observable<string>((words) => {
      model.words = words;
    });
  }
}

describe.each(platforms)('a route with a run on %s', (platform) => {
  let served: Served;
  beforeAll(async () => {
    models.clear();
    served = await serveFeeds(platform, { path: undefined }, { controllers: [AnswersController] });
  });
  afterAll(closeAll);

  const get = (id: string, ...headers: string[]) => Peer.get(served.port, `/answers/${id}?format=ndjson`, ...headers);
  const dataOf = (peer: Peer) => peer.lines.map(({ data }) => data);

  it('goes on where the client reloads: the answer is made once, and each word comes once', async () => {
    const model = modelOf('1');
    const first = await get('1');
    await until(() => model.words !== undefined);
    for (const word of ['a', 'b', 'c']) model.words?.next(word);
    await first.sees('"c"');
    first.leave();
    await until(() => served.feeds.counts().open === 0);
    model.words?.next('d');
    // With its position, as an EventSource that reconnects; and without, as a page that is loaded again.
    const [resumed, reloaded] = await Promise.all([get('1', `Last-Event-ID: ${first.lines.at(-1)?.id}`), get('1')]);
    await resumed.sees('"d"');
    model.words?.next('e');
    model.words?.complete();
    await Promise.all([resumed.closed(), reloaded.closed()]);
    expect(dataOf(resumed)).toEqual(['d', 'e', { reason: 'completed' }]);
    expect(dataOf(reloaded)).toEqual(['a', 'b', 'c', 'd', 'e', { reason: 'completed' }]);
    expect(reloaded.lines[0]).toMatchObject({ type: 'token', feed: 'answers/1' });
    expect([resumed, reloaded].every(({ isComplete }) => isComplete)).toBe(true);
    // When it is over, too.
    const late = await get('1');
    await late.closed();
    expect(dataOf(late)).toEqual(dataOf(reloaded));
    const over = await get('1', `Last-Event-ID: ${late.lines.at(-1)?.id}`);
    await over.sees('HTTP/1.1 204');
    expect(model.calls).toBe(1);
    expect(model.signal?.aborted).toBe(false);
  });

  it('is stopped by its feed, and its signal with it', async () => {
    const model = modelOf('2');
    const peer = await get('2');
    await until(() => model.words !== undefined);
    model.words?.next('a');
    await peer.sees('"a"');
    await served.feeds.stop('answers/2');
    await peer.closed();
    expect(dataOf(peer)).toEqual(['a', { reason: 'stopped' }]);
    await until(() => model.signal?.aborted === true && model.words?.closed === true);
  });

  it.each(['heeds', 'fails', 'ignores'])(
    'is stopped while its handler is awaited, which %s its signal: all clients are told the end in band',
    async (kind) => {
      const id = `${kind}-${platform}`;
      const path = `/answers/waiting/${kind}/${id}?format=ndjson`;
      const first = await Peer.get(served.port, path);
      await until(() => modelOf(id).calls === 1);
      const second = await Peer.get(served.port, path);
      await served.feeds.stop(`answers/waiting/${kind}/${id}`);
      const third = await Peer.get(served.port, path);
      for (const peer of [first, second, third]) {
        await peer.closed();
        expect(peer.head).toMatch(/^HTTP\/1.1 200/);
        expect(peer.lines.map(({ type, data }) => [type, data])).toEqual([['end', { reason: 'stopped' }]]);
        expect(peer.isComplete).toBe(true);
      }
      expect(modelOf(id).calls).toBe(1);
    },
  );

  it('answers with what the handler throws, and then calls it again for the next who asks', async () => {
    for (const calls of [1, 2]) {
      const answer = await fetch(`${served.url}/answers/unknown-${platform}`);
      expect(answer.status).toBe(404);
      expect(await answer.json()).toMatchObject({ message: 'There is no such question.' });
      expect(modelOf(`unknown-${platform}`).calls).toBe(calls);
    }
    expect((await fetch(`${served.url}/answers/3`, { method: 'HEAD' })).status).toBe(200);
    expect(modelOf('3').calls).toBe(0);
  });

  it('is told as failed where its source fails', async () => {
    const model = modelOf('4');
    const peer = await get('4');
    await until(() => model.words !== undefined);
    model.words?.error(new Error('secret'));
    await peer.closed();
    expect(dataOf(peer)).toEqual([{ reason: 'failed', message: 'The source has failed.' }]);
    expect(peer.isComplete).toBe(true);
  });
});
