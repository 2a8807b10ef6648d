import { Subject } from 'rxjs';
import { Peer } from '../support/peer.js';
import { feedModule, platforms, serve } from '../support/serve.js';

describe.each(platforms)('a source that many connections share on %s', (platform) => {
  it('has each message encoded once for each format', async () => {
    const prices = new Subject<object>();
    const served = await serve(platform, { imports: [feedModule({ source: () => prices })] });
    const formats = ['text', 'sse', 'ndjson'];
    const peers = await Promise.all(Array.from({ length: 60 }, (_, n) => Peer.get(served.port, `/feeds/${n}?format=${formats[n % 3]}`)));
    await Promise.all(peers.map((peer) => peer.sees('\r\n\r\n')));
    let encoded = 0;
    const price = {
      value: 0,
      toJSON() {
        encoded += 1;
        return { value: this.value };
      },
    };
    for (price.value = 1; price.value <= 10; price.value += 1) prices.next(price);
    prices.next({ value: 'ünïcode' });
    await Promise.all(peers.map((peer) => peer.sees(/ode"}/)));
    expect(encoded).toBe(10 * formats.length);
    const values = [...Array.from({ length: 10 }, (_, n) => n + 1), 'ünïcode'];
    for (const [n, peer] of peers.entries()) {
      const body = Buffer.from(peer.body, 'latin1').toString();
      const expected = {
        text: values.map((value) => `${JSON.stringify({ value })}\n`),
        sse: values.map((value) => `data: ${JSON.stringify({ value })}\n\n`),
        ndjson: values.map((value) => `${JSON.stringify({ data: { value } })}\n`),
      }[formats[n % 3] as 'text'];
      expect(body.replace(/^id: \w+-0\n\n/, '')).toBe(expected.join(''));
    }
    await served.app.close();
  });
});
