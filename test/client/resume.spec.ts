import { until } from '../support/until.js';
import { base, closeClients, collect, message, startServer, stopServer, wire } from '../support/wire.js';

beforeAll(startServer);
afterAll(stopServer);

/** As a browser's, of one origin. */
const makeStorage = () => {
  const kept = new Map<string, string>();
  return {
    kept,
    resume: { getItem: (key: string) => kept.get(key) ?? null, setItem: (key: string, value: string) => void kept.set(key, value) },
  };
};

describe('resume', () => {
  afterEach(closeClients);

  it('a feed that is not followed stays where it was', async () => {
    const { resume } = makeStorage();
    const { client, request, isLive } = wire({ resume });
    const a = collect(client.follow('a'));
    const b = client.follow('b');
    const seen = collect(b);
    (await request(0)).open('e-0').line({ position: 'e-1' }, message(2, 'b'));
    await isLive();
    await until(() => seen.all.length === 1);
    b.close();
    (await request(1)).open('e-2').line({ position: 'e-2' }, message(9, 'a')); // 3 to 8 are of b
    await until(() => a.all.length === 1);
    client.close();
    const next = wire({ resume });
    collect(next.client.follow('b'));
    expect((await next.request(0)).since).toEqual(['e-2']);
  });

  it('tabs that keep their positions in one storage do not put back those of each other', async () => {
    const { kept, resume } = makeStorage();
    kept.set(`nestjs-feed:${base}/feeds`, JSON.stringify({ a: 'e-1' }));
    const [one, two] = [wire({ resume }), wire({ resume })];
    collect(one.client.follow('a'));
    collect(two.client.follow('b'));
    (await one.request(0)).open('e-1').line(message(2), message(3), { position: 'e-3' });
    (await two.request(0)).open('e-3').line({ position: 'e-3' });
    await Promise.all([one.isLive(), two.isLive()]);
    one.client.close();
    two.client.close();
    const next = wire({ resume });
    collect(next.client.follow('a'));
    expect((await next.request(0)).since).toEqual(['e-3']);
  });

  it('a feed may be called constructor', async () => {
    const { client, asked } = wire({ resume: { getItem: () => null, setItem: () => {} } });
    collect(client.follow('constructor'));
    await until(() => asked.length > 0);
  });
});
