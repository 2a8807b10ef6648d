import { Observable, Subject } from 'rxjs';
import { atEnd } from '../support/ends.js';
import { Peer } from '../support/peer.js';
import { feedModule, platforms, type Served, serve, until } from '../support/serve.js';

describe.each(platforms)('a feed on %s', (platform) => {
  let served: Served;
  let subscribed = 0;
  const said = new Subject<unknown>();

  beforeAll(async () => {
    served = await serve(platform, {
      imports: [
        feedModule({
          path: 'test',
          source: ({ id, url }) =>
            new Observable((subscriber) => {
              if (id === 'throws') throw new Error('at once');
              if (id === 'fails') subscriber.error(new Error('at once'));
              subscribed += 1;
              subscriber.next(`hello ${url}`);
              subscriber.add(said.subscribe(subscriber));
              subscriber.add(() => {
                subscribed -= 1;
              });
            }),
        }),
      ],
    });
  });
  afterAll(() => served.app.close());
  afterEach(async () => {
    Peer.leaveAll();
    await until(() => served.feeds.counts().open === 0 && subscribed === 0);
  });

  it('answers at once with a chunked response and goes on with what the source says', async () => {
    const peer = await Peer.get(served.port, '/test/42?x=1');
    await peer.sees('hello /test/42?x=1\n');
    expect(peer.head).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
    expect(peer.head).toMatch(/\r\ncontent-type: text\/plain; charset=utf-8/i);
    expect(peer.head).toMatch(/\r\ntransfer-encoding: chunked/i);
    said.next('one');
    said.next({ two: 2 });
    said.next({ data: 'three', type: 'x', id: '3' });
    await peer.sees('three\n');
    expect(peer.body).toBe('hello /test/42?x=1\none\n{"two":2}\nthree\n');
    expect(served.feeds.count('42')).toEqual({ id: '42', open: 1, bufferedBytes: 0 });
    peer.leave();
  });

  it.each([
    ['text/event-stream', '', 'text/event-stream'],
    ['application/x-ndjson', '', 'application/x-ndjson'],
    ['text/plain;q=0.5, text/event-stream', '', 'text/event-stream'],
    ['text/html, */*;q=0.1', '', 'text/plain; charset=utf-8'],
    ['application/*', '', 'application/x-ndjson'],
    ['text/plain', '?format=sse', 'text/event-stream'],
    ['image/png', '?format=ndjson', 'application/x-ndjson'],
    ['*/*', '?format=text', 'text/plain; charset=utf-8'],
  ])('chooses the format by Accept (%s) or ?format= (%s)', async (accept, query, contentType) => {
    const peer = await Peer.get(served.port, `/test/1${query}`, `Accept: ${accept}`);
    await peer.sees('hello');
    expect(peer.head.toLowerCase()).toContain(`\r\ncontent-type: ${contentType}\r\n`);
    peer.leave();
  });

  it('writes events that no data can forge a field in', async () => {
    const peer = await Peer.get(served.port, '/test/1?format=sse');
    await peer.sees('hello');
    said.next({ data: 'a\nid: 1\r\nevent: x\rb', type: 't', id: '7' });
    await peer.sees('data: b\n\n');
    expect(peer.body).toMatch(/^: connection \S+-\d+\n\nid: [a-z0-9]+-0\n\ndata: hello/);
    expect(peer.body.slice(peer.body.indexOf('data'))).toBe(
      'data: hello /test/1?format=sse\n\nid: 7\nevent: t\ndata: a\ndata: id: 1\ndata: event: x\ndata: b\n\n',
    );
    said.next({ data: 'x', type: 'a\nb' });
    await peer.closed();
    expect(peer.isComplete).toBe(false);
  });

  it('writes one JSON object a line', async () => {
    const peer = await Peer.get(served.port, '/test/1?format=ndjson');
    await peer.sees('hello');
    said.next({ data: { a: ['ü', '\n'] }, type: 't', id: '7' });
    await peer.sees('"id":"7"');
    expect(peer.lines).toEqual([{ data: 'hello /test/1?format=ndjson' }, { id: '7', type: 't', data: { a: ['ü', '\n'] } }]);
    peer.leave();
  });

  it.each([
    ['/test/a%2F%2Fb', 400, /A feed's id is 1 to 200 characters/],
    ['/test/%20', 400, /FEED_ID/],
    [`/test/${'x'.repeat(201)}`, 400, /FEED_ID/],
    ['/test/%C3%BC', 400, /FEED_ID/],
    ['/test/42?format=SSE', 406, /FEED_FORMAT/],
    ['/test/42?format=', 406, /FEED_FORMAT/],
    ['/test/42?format=xml', 406, /"formats":\["text","sse","ndjson"\]/],
    ['/test', 400, /FEED_IDS/],
    ['/tes', 404, /Not Found/],
  ])('refuses %s with %i', async (path, status, body) => {
    const response = await fetch(served.url + path);
    expect(response.status).toBe(status);
    expect(response.headers.get('content-type')).toContain('application/json');
    expect(await response.text()).toMatch(body);
  });

  it('does not read an Accept that is too long', async () => {
    const peer = await Peer.get(served.port, '/test/1', `Accept: ${'image/png,'.repeat(200)}text/event-stream`);
    await peer.sees(/^content-type: text\/plain; charset=utf-8\r$/im);
  });

  it.each(['image/png', 'text/plain;q=0', 'nonsense'])('refuses the Accept %s, which nothing fits', async (accept) => {
    const response = await fetch(`${served.url}/test/42`, { headers: { accept } });
    expect(response.status).toBe(406);
    expect(await response.json()).toMatchObject({ formats: ['text', 'sse', 'ndjson'] });
  });

  it.each(['x'.repeat(200), 'A-z.0_9~:@', '%34%32'])('takes the id %s', async (id) => {
    const peer = await Peer.get(served.port, `/test/${id}`);
    await peer.sees(`hello /test/${id}\n`);
    expect(served.feeds.count(decodeURIComponent(id)).open).toBe(1);
    peer.leave();
  });

  it('answers HEAD with the head alone and opens nothing', async () => {
    const { opened } = served.feeds.counts();
    const response = await fetch(`${served.url}/test/42`, { method: 'HEAD' });
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toBe('text/plain; charset=utf-8');
    expect(await response.text()).toBe('');
    expect(served.feeds.counts().opened).toBe(opened);
  });

  it('answers an HTTP/1.0 client without chunk framing, and ends by closing', async () => {
    const peer = await Peer.to(served.port);
    peer.send('GET /test/42 HTTP/1.0\r\n\r\n');
    await peer.sees('hello /test/42\n');
    expect(peer.head).not.toMatch(/transfer-encoding/i);
    said.next('more');
    await peer.sees('more\n');
    served.feeds.end('42');
    await peer.closed();
    expect(peer.text.slice(peer.head.length + 4)).toBe('hello /test/42\nmore\n');
  });

  it.each(['throws', 'fails'])('answers 500 when the source %s at once', async (id) => {
    const { opened } = served.feeds.counts();
    const response = await fetch(`${served.url}/test/${id}`);
    expect(response.status).toBe(500);
    expect(await response.json()).toEqual({ statusCode: 500, message: 'Internal server error' });
    expect(served.feeds.counts().opened).toBe(opened);
  });

  it('ends all followers of a feed, and no others', async () => {
    const { closed } = served.feeds.counts();
    const peers = await Promise.all(['/test/a', '/test/a', '/test/b'].map((path) => Peer.get(served.port, path)));
    await Promise.all(peers.map((peer) => peer.sees('hello')));
    expect(served.feeds.counts()).toMatchObject({ open: 3, feeds: 2 });
    expect((await served.feeds.end('a')).ended).toBe(2);
    const [first, second, third] = peers as [Peer, Peer, Peer];
    await first.closed();
    await second.closed();
    expect(first.isComplete).toBe(true);
    await until(() => served.feeds.counts().open === 1);
    expect(served.feeds.counts().closed.completed).toBe(closed.completed + 2);
    third.leave();
  });

  it('ends the followers of a feed without looking at those of others', async () => {
    const paths = ['/test/a', ...Array.from({ length: 100 }, (_, n) => `/test/b${n}`)];
    const peers = await Promise.all(paths.map((path) => Peer.get(served.port, path)));
    await Promise.all(peers.map((peer) => peer.sees('hello')));
    // The sizes of the sets that `end()` walks through.
    const { [Symbol.iterator]: iterate } = Set.prototype;
    atEnd(() => Object.assign(Set.prototype, { [Symbol.iterator]: iterate }));
    const sizes: number[] = [];
    Set.prototype[Symbol.iterator] = function () {
      sizes.push(this.size);
      return iterate.call(this);
    };
    expect((await served.feeds.end('a')).ended).toBe(1);
    expect(Math.max(...sizes)).toBeLessThan(10);
    await peers[0]?.closed();
  });
});
