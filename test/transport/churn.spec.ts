import fc from 'fast-check';
import { Observable } from 'rxjs';
import { intervalSource } from '../../src/index.js';
import { Peer } from '../support/peer.js';
import { feedModule, platforms, serve, until } from '../support/serve.js';

describe.each(platforms)('connections that open and close on %s', (platform) => {
  it('leaves no source subscribed, no timer and no entry after 1,000 that left at random moments', async () => {
    let subscribed = 0;
    let calls = 0;
    const tick = intervalSource(5);
    const served = await serve(platform, {
      imports: [
        feedModule({
          source: (context) =>
            new Observable((subscriber) => {
              subscribed += 1;
              calls += 1;
              subscriber.add(() => {
                subscribed -= 1;
              });
              (tick(context) as Observable<string>).subscribe(subscriber);
            }),
        }),
      ],
    });
    const timers = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
    const before = timers();

    const visit = async (id: number, how: number) => {
      const peer = await Peer.get(served.port, `/feeds/${id % 50}`);
      if (how >= 2) await peer.sees('welcomes');
      if (how >= 3) await peer.sees('Chunk 2');
      if (how % 2 === 0) peer.leave();
      else peer.reset();
      await peer.closed();
    };
    const hows = fc.sample(fc.integer({ min: 0, max: 5 }), { numRuns: 1000, seed: 42 });
    const batches = Array.from({ length: 20 }, (_, n) => hows.slice(n * 50, n * 50 + 50));
    for (const batch of batches) await Promise.all(batch.map((how, n) => visit(n, how)));

    await until(() => subscribed === 0 && served.feeds.counts().open === 0);
    const { opened, closed, feeds, bufferedBytes } = served.feeds.counts();
    expect(calls).toBeGreaterThan(500);
    expect({ opened: closed.client, feeds, bufferedBytes }).toEqual({ opened, feeds: 0, bufferedBytes: 0 });
    expect(served.feeds.count('7').open).toBe(0);
    await until(() => timers() <= before);
    await served.app.close();
  });
});
