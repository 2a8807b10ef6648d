import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { type AddressInfo, createServer as createNetServer, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { Global, Logger, type LoggerService, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Subject } from 'rxjs';
import { generate } from 'selfsigned';
import { Webhook as Verifier } from 'standardwebhooks';
import { FeedOptionsError, FeedService } from '../../src/index.js';
import {
  type FeedEvent,
  Webhook,
  type WebhookCounts,
  type WebhookListener,
  WebhookModule,
  type WebhookOptions,
} from '../../src/webhook/index.js';
import { atEnd } from '../support/ends.js';
import { Peer } from '../support/peer.js';
import { ok, Receiver, secret } from '../support/receiver.js';
import { feedModule, platforms, serve, until } from '../support/serve.js';

/** Notes the calls. */
class Notes implements WebhookListener {
  readonly lines: string[] = [];

  onFailure(target: string, reason: string): void {
    this.lines.push(`${target} failing: ${reason}`);
  }

  onRecovery(target: string, { failures }: WebhookCounts): void {
    this.lines.push(`${target} working after ${failures}`);
  }

  onLoss(target: string, { waiting }: WebhookCounts): void {
    this.lines.push(`${target} gave up ${waiting}`);
  }
}

const many = 10;

/** An event that is known by its time. */
const event = (time: number): FeedEvent => ({ type: 'followed', id: `${time}`, time, node: 'n', feed: `feed ${time} ü` });
/** How an answer begins that is none. */
const switching = 'HTTP/1.1 101 Switching Protocols\r\n';
const numbers = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, n) => from + n);

describe('the webhook', () => {
  let events: Subject<FeedEvent>;
  let notes: Notes;

  /** A webhook with little patience. */
  function hook(url: string, options: Partial<WebhookOptions> = {}): Webhook {
    const webhook = new Webhook(events, { url, secret, batchMs: 5, retryMs: 10, maxRetryMs: 20, flushMs: 50, ...options }, notes);
    atEnd(() => webhook.close());
    return webhook;
  }

  function emit(from: number, to = from): void {
    for (const number of numbers(from, to)) events.next(event(number));
  }

  beforeEach(() => {
    events = new Subject();
    notes = new Notes();
    atEnd(() => expect(events.observed).toBe(false));
  });

  it('posts what happened as signed JSON', async () => {
    const receiver = await Receiver.start();
    const webhook = hook(receiver.url.replace('//', '//us%20er:pass@').concat('?a=b'));
    const closed: FeedEvent = {
      type: 'closed',
      id: 'e-1',
      process: 'p',
      time: 1,
      node: 'n',
      connection: 'n-7',
      feeds: ['ü'],
      reason: 'client',
      durationMs: 5,
      subject: 'me',
    };
    events.next(closed);
    emit(2);
    const [request] = await receiver.takes(1);
    expect(request).toMatchObject({
      method: 'POST',
      url: '/hook?a=b',
      headers: {
        'content-type': 'application/json',
        'content-length': String(Buffer.byteLength(request?.text ?? '')),
        'user-agent': 'nestjs-feed',
        authorization: `Basic ${btoa('us er:pass')}`,
        'webhook-id': expect.stringMatching(/^msg_[\w-]+$/),
      },
    });
    expect(request?.body).toEqual({ events: [closed, event(2)] });
    await until(() => webhook.counts().sent === 2);
    expect(webhook.counts()).toEqual({ sent: 2, dropped: 0, waiting: 0, failures: 0 });
    expect(notes.lines).toEqual([]);
  });

  it('takes any text as its secret', async () => {
    const secret = 'any text é';
    const receiver = await new Receiver(ok, new Verifier(Buffer.from(secret), { format: 'raw' })).listen();
    hook(receiver.url, { secret });
    emit(1);
    await receiver.takes(1);
    expect(receiver.times).toEqual([1]);
  });

  it('signs with each of several secrets, so that a receiver can change from one to another', async () => {
    const next = `whsec_${Buffer.from('another key of its own bytes').toString('base64')}`;
    const receiver = await Receiver.start();
    hook(receiver.url, { secret: [next, secret] });
    emit(1);
    const [{ headers, text }] = (await receiver.takes(1)) as unknown as [{ headers: Record<string, string>; text: string }];
    expect(headers['webhook-signature']).toMatch(/^v1,[\w+/]{43}= v1,[\w+/]{43}=$/);
    for (const one of [next, secret]) expect(new Verifier(one).verify(text, headers)).toEqual({ events: [event(1)] });
    expect(() => new Verifier(`whsec_${btoa('a third key of some more bytes')}`).verify(text, headers)).toThrow();
  });

  it('sends 1,000 events in order, up to 100 a request, one request at a time on one connection', async () => {
    const receiver = await Receiver.start((response) => setImmediate(() => response.end('{"ok":true}')));
    const webhook = hook(receiver.url);
    emit(1, 950);
    await receiver.takes(3);
    emit(951, 1000);
    await until(() => webhook.counts().sent === 1000);
    expect(receiver.times).toEqual(numbers(1, 1000));
    expect(receiver.requests.map(({ body }) => body.events.length)).toEqual(Array(10).fill(100));
    expect(new Set(receiver.requests.map(({ headers }) => headers['webhook-id'])).size).toBe(10);
    expect([receiver.concurrent, receiver.sockets.size]).toEqual([1, 1]);
    expect(webhook.counts()).toEqual({ sent: 1000, dropped: 0, waiting: 0, failures: 0 });
  });

  it('waits for a target that is down, and says so once', async () => {
    const gone = await Receiver.start();
    const { port, url } = gone;
    gone.close();
    const webhook = hook(`${url}?token=secret`.replace('//', '//user:pass@'), { batchLength: 3 });
    emit(1, 10);
    await until(() => webhook.counts().failures >= 3);
    expect(webhook.counts()).toMatchObject({ sent: 0, waiting: 10 });
    const receiver = await Receiver.start(ok, port);
    await until(() => webhook.counts().sent === 10);
    expect(receiver.times).toEqual(numbers(1, 10));
    expect(notes.lines).toEqual([
      `${url} failing: connect ECONNREFUSED 127.0.0.1:${port}`,
      `${url} working after ${webhook.counts().failures}`,
    ]);
  });

  const failing = () => {
    throw new Error('the listener failed');
  };

  it.each([
    ['throws', failing],
    ['rejects', async () => failing()],
  ])('delivers events although its listener %s', async (_, fail) => {
    const { error } = Logger.prototype;
    atEnd(() => Object.assign(Logger.prototype, { error }));
    const errors: string[] = [];
    Logger.prototype.error = (message) => void errors.push(message);
    Object.assign(notes, { onFailure: fail, onRecovery: fail, onLoss: fail });
    const receiver = await Receiver.start((response, count) => response.writeHead(count === 2 ? 500 : 200).end());
    const webhook = hook(receiver.url, { batchLength: 1 });
    emit(1, 3);
    await until(() => webhook.counts().sent === 3);
    expect(receiver.times).toEqual([1, 2, 2, 3]);
    receiver.close();
    emit(4);
    await webhook.close();
    expect(webhook.counts()).toMatchObject({ sent: 3, waiting: 1 });
    await until(() => errors.length >= 4);
    expect(errors[0]).toMatch(/^The webhook's listener failed: Error: the listener failed\n/);
  });

  it('leaves a target alone for as long as it asks, and repeats a request with its id, signed anew', async () => {
    const receiver = await Receiver.start((response, count) => response.writeHead(count < 2 ? 503 : 200, { 'retry-after': '1' }).end());
    hook(receiver.url);
    emit(1);
    const [first, second] = await receiver.takes(2);
    if (!first || !second) throw new Error('two requests');
    expect(second.time - first.time).toBeGreaterThan(990);
    expect(second.text).toBe(first.text);
    expect(second.headers['webhook-id']).toBe(first.headers['webhook-id']);
    expect(Number(second.headers['webhook-timestamp'])).toBeGreaterThan(Number(first.headers['webhook-timestamp']));
    expect(second.headers['webhook-signature']).not.toBe(first.headers['webhook-signature']);
    await until(() => notes.lines.length === 2);
    expect(notes.lines[0]).toBe(`${receiver.url} failing: response status 503`);
  });

  it('does not wait for an answer longer than its time limit', async () => {
    const receiver = await Receiver.start((response, count) => count > 1 && response.end());
    const webhook = hook(receiver.url, { timeoutMs: 50 });
    emit(1);
    const [first, second] = await receiver.takes(2);
    expect(second?.headers['webhook-id']).toBe(first?.headers['webhook-id']);
    await until(() => webhook.counts().sent === 1);
    expect(first?.socket.destroyed).toBe(true);
    // On a busy machine further requests run out of time.
    expect(notes.lines).toEqual([`${receiver.url} failing: no response within 50 ms`, expect.stringMatching(/ working after \d+$/)]);
  });

  it.each([301, 302, 303, 307, 308])('does not follow a redirect (%i)', async (status) => {
    const other = await Receiver.start();
    const receiver = await Receiver.start((response, count) =>
      count === 1 ? response.writeHead(status, { location: other.url }).end() : response.end(),
    );
    hook(receiver.url);
    emit(1);
    await receiver.takes(2);
    expect(notes.lines[0]).toBe(`${receiver.url} failing: response status ${status}`);
    expect(other.sockets.size).toBe(0);
  });

  it.each<[string, (socket: Socket) => unknown, RegExp]>([
    ['closes', (socket) => socket.end(), /socket hang up/],
    ['resets', (socket) => socket.resetAndDestroy(), /ECONNRESET/],
    ['talks rubbish', (socket) => socket.end('220 ready\r\n'), /Parse Error/],
    ['upgrades', (socket) => socket.write(`${switching}Connection: upgrade\r\nUpgrade: x\r\n\r\n`), /without a response/],
    ['switches to nothing', (socket) => socket.write(`${switching}\r\n`), /status 101/],
    ['never ends its head', (socket) => socket.write(`HTTP/1.1 200 OK\r\nA: ${'a'.repeat(100_000)}`), /Header overflow/i],
    ['sends one letter', (socket) => socket.write('H'), /no response within 100 ms/],
    ['sends only promises', (socket) => socket.write('HTTP/1.1 102 Processing\r\n\r\n'), /no response within 100 ms/],
  ])('tries again when the target %s', async (_, misbehave, reason) => {
    const receiver = new Receiver(ok);
    let connections = 0;
    const server = createNetServer((socket) => {
      connections += 1;
      if (connections > 1) receiver.server.emit('connection', socket);
      else socket.on('error', () => {}).once('data', () => misbehave(socket));
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    hook(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, { timeoutMs: 100 });
    emit(1);
    await receiver.takes(1);
    expect(receiver.times).toEqual([1]);
    expect(notes.lines[0]).toMatch(reason);
    server.close();
  });

  it.each<[string, (response: ServerResponse) => unknown]>([
    ['flows without end', (response) => response.on('drain', () => flood(response)) && flood(response)],
    ['never comes', (response) => response.writeHead(200, { 'content-length': '10' }).flushHeaders()],
    ['is rubbish', (response) => response.socket?.end('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nrubbish\r\n')],
    ['breaks off', (response) => response.writeHead(200, { 'content-length': '10' }).write('abc', () => response.destroy())],
  ])('takes an answer at its status, when its body %s', async (_, answer) => {
    const receiver = await Receiver.start(answer);
    const webhook = hook(receiver.url, { batchLength: 1 });
    emit(1, 5);
    await until(() => webhook.counts().sent === 5);
    expect(receiver.times).toEqual([1, 2, 3, 4, 5]);
    await until(() => receiver.requests.every(({ socket }) => socket.destroyed));
    expect(webhook.counts().failures).toBe(0);
  });

  it('sends nothing to a target whose certificate it cannot verify', async () => {
    const { cert, private: key } = await generate([{ name: 'commonName', value: '127.0.0.1' }]);
    const receiver = new Receiver(ok);
    const server = createTlsServer({ cert, key }, (socket) => receiver.server.emit('connection', socket));
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    const webhook = hook(url);
    emit(1);
    await until(() => webhook.counts().failures >= 2);
    expect(notes.lines).toEqual([`${url} failing: self-signed certificate`]);
    expect(receiver.requests).toEqual([]);
    server.close();
  });

  it('takes another connection when the kept one was closed meanwhile', async () => {
    const receiver = await Receiver.start((response, count) => (count === 2 ? response.destroy() : response.end()));
    const webhook = hook(receiver.url);
    emit(1);
    await until(() => webhook.counts().sent === 1);
    emit(2);
    await until(() => webhook.counts().sent === 2);
    expect(receiver.times).toEqual([1, 2, 2]);
    expect(webhook.counts().failures).toBe(0);
    expect(notes.lines).toEqual([]);
  });

  it('drops the oldest events that wait when there are too many, and tells the target how many', async () => {
    const held: ServerResponse[] = [];
    const receiver = await Receiver.start((response) => held.push(response));
    const webhook = hook(receiver.url, { batchLength: 2, queueLength: 3 });
    emit(1, 2);
    await receiver.takes(1);
    emit(3, 5);
    expect(webhook.counts()).toEqual({ sent: 0, dropped: 0, waiting: 5, failures: 0 });
    emit(6, 100_000);
    expect(webhook.counts()).toEqual({ sent: 0, dropped: 99_995, waiting: 5, failures: 0 });
    for (const count of [1, 2, 3]) {
      await receiver.takes(count);
      held[count - 1]?.end();
    }
    await until(() => webhook.counts().sent === 5);
    expect(receiver.requests.map(({ body }) => [body.dropped, body.events.map(({ time }) => time)])).toEqual([
      [undefined, [1, 2]],
      [99_995, [99_998, 99_999]],
      [undefined, [100_000]],
    ]);
    expect(webhook.counts()).toEqual({ sent: 5, dropped: 99_995, waiting: 0, failures: 0 });
  });

  it('drops what the target refuses again and again, and tells it how many events that were', async () => {
    const receiver = await Receiver.start((response) => {
      const isRefused = receiver.times.at(-1) === 2 || receiver.times.at(-1) === 3;
      response.writeHead(isRefused ? 400 : 200).end();
    });
    const webhook = hook(receiver.url, { batchLength: 1, maxRejections: 3 });
    emit(1, 4);
    await until(() => webhook.counts().sent === 2);
    expect(receiver.requests.map(({ body }) => [body.events[0]?.time, body.dropped])).toEqual([
      [1, undefined],
      ...Array(3).fill([2, undefined]),
      ...Array(3).fill([3, 1]),
      [4, 2],
    ]);
    expect(webhook.counts()).toEqual({ sent: 2, dropped: 2, waiting: 0, failures: 6 });
    expect(notes.lines).toEqual([`${receiver.url} failing: response status 400`, `${receiver.url} working after 6`]);
  });

  it.each([
    [{ maxRejections: 0 }, [503, 400, 404, 500]],
    [{ maxRejections: 1 }, [429, 502, 503, 504]],
  ])('with %j, drops nothing for the statuses %j', async (options, statuses) => {
    const receiver = await Receiver.start((response, count) =>
      response.writeHead(count > 20 ? 200 : (statuses[(count - 1) % statuses.length] ?? 0)).end(),
    );
    const webhook = hook(receiver.url, { ...options, maxRetryMs: 1 });
    emit(1, 3);
    await until(() => webhook.counts().sent === 3);
    expect(webhook.counts()).toEqual({ sent: 3, dropped: 0, waiting: 0, failures: 20 });
  });

  describe('when it is closed', () => {
    it('tries again at short intervals, however often that has failed before', async () => {
      let failures = Number.POSITIVE_INFINITY;
      const receiver = await Receiver.start((response) => {
        failures -= 1;
        response.writeHead(failures >= 0 ? 503 : 200).end();
      });
      const { random } = Math;
      atEnd(() => Object.assign(Math, { random }));
      Math.random = () => 0;
      const webhook = hook(receiver.url, { maxRetryMs: 60_000, flushMs: 5000 });
      emit(1);
      await receiver.takes(20);
      Math.random = () => 1;
      failures = 3;
      await webhook.close();
      expect(webhook.counts()).toMatchObject({ sent: 1, waiting: 0 });
    });

    it('sends what waits at once', async () => {
      const receiver = await Receiver.start();
      const webhook = hook(receiver.url, { batchMs: 60_000, flushMs: 60_000 });
      emit(1, 250);
      await webhook.close();
      emit(251);
      expect(receiver.times).toEqual(numbers(1, 250));
      expect(webhook.counts()).toEqual({ sent: 250, dropped: 0, waiting: 0, failures: 0 });
      expect(notes.lines).toEqual([]);
    });

    it('tries once more at once, however long it was to wait', async () => {
      const receiver = await Receiver.start((response, count) =>
        response.writeHead(count === 1 ? 503 : 200, { 'retry-after': '3600' }).end(),
      );
      const webhook = hook(receiver.url, { flushMs: 60_000 });
      emit(1);
      await until(() => notes.lines.length === 1);
      await webhook.close();
      expect(webhook.counts()).toEqual({ sent: 1, dropped: 0, waiting: 0, failures: 1 });
    });

    it('gives up in time, and says on how many', async () => {
      const receiver = await Receiver.start((response) => response.writeHead(500).end());
      const webhook = hook(receiver.url, { batchLength: 2, flushMs: 200 });
      emit(1, 5);
      await receiver.takes(1);
      await webhook.close();
      expect(receiver.requests.length).toBeGreaterThan(1);
      expect(notes.lines).toEqual([`${receiver.url} failing: response status 500`, `${receiver.url} gave up 5`]);
    });

    it.each([0, 50])('breaks off a request that is not answered, after %i ms', async (flushMs) => {
      const receiver = await Receiver.start(() => {});
      const webhook = hook(receiver.url, { flushMs });
      emit(1);
      const [request] = await receiver.takes(1);
      await webhook.close();
      await until(() => request?.socket.destroyed === true);
      expect(notes.lines).toEqual([`${receiver.url} gave up 1`]);
      expect(webhook.counts()).toEqual({ sent: 0, dropped: 0, waiting: 1, failures: 0 });
    });

    it('has nothing to wait for when nothing waits', async () => {
      const before = alive();
      for (let n = 0; n < many; n += 1) await hook('http://127.0.0.1:1', { flushMs: 60_000 }).close();
      expect(alive()).toBeLessThan(before + many);
      expect(notes.lines).toEqual([]);
    });
  });

  it('keeps no process alive: neither while it collects, nor while it waits for an answer or to try again', async () => {
    const slow = await Receiver.start(() => {});
    const busy = await Receiver.start((response) => response.writeHead(503, { 'retry-after': '3600' }).end());
    for (const { server } of [slow, busy]) server.on('connection', (socket: Socket) => socket.unref());
    const before = alive();
    for (let n = 0; n < many; n += 1) {
      hook(slow.url, { batchMs: 60_000 });
      hook(slow.url, { timeoutMs: 60_000 });
      hook(busy.url);
    }
    emit(1);
    await slow.takes(many);
    await until(() => notes.lines.length === many);
    expect(alive()).toBeLessThan(before + many);
    expect([slow.requests.length, busy.requests.length]).toEqual([many, many]);
  });

  it.each(platforms)('tells of feeds on %s, of their end at the shutdown, too', async (platform) => {
    const receiver = await Receiver.start();
    const options = { url: receiver.url, secret, batchMs: 5 };
    const { app, port } = await serve(platform, {
      imports: [feedModule({ intervalMs: 1000, nodeName: 'n' }), WebhookModule.forRoot(options)],
    });
    const peer = await Peer.get(port, '/feeds/1');
    await peer.sees('welcomes');
    await until(() => app.get(Webhook, { strict: false }).counts().sent === 2);
    await app.close();
    const told = receiver.requests.flatMap(({ body }) => body.events);
    const about = { id: expect.any(String), time: expect.any(Number), node: 'n' };
    const feed = { ...about, feed: '1' };
    const connection = { ...about, process: expect.any(String), connection: 'n-1', feeds: ['1'] };
    expect(told).toHaveLength(4);
    expect(told).toEqual(
      expect.arrayContaining([
        { type: 'followed', ...feed },
        { type: 'opened', ...connection },
        { type: 'unfollowed', ...feed },
        { type: 'closed', ...connection, reason: 'drained', durationMs: expect.any(Number) },
      ]),
    );
  });

  it.each<[Record<string, unknown>, string]>([
    [{ url: undefined }, 'The webhook\'s option "url" must be an http:// or https:// URL, not undefined'],
    [{ url: 'ftp://example.com' }, 'The webhook\'s option "url" must be an http:// or https:// URL, not "ftp://example.com"'],
    [{ url: 'user:pa/ss@a?token=b' }, 'The webhook\'s option "url" must be an http:// or https:// URL, not "a"'],
    [{ url: 'http://a b' }, 'The webhook\'s option "url" must be an http:// or https:// URL, not "http://a b"'],
    [{ secret: undefined }, 'The webhook\'s option "secret" must be a text that is not empty, or whsec_ and base64'],
    [{ secret: '' }, 'The webhook\'s option "secret" must be a text that is not empty, or whsec_ and base64'],
    [{ secret: 'whsec_' }, 'The webhook\'s option "secret" must be a text that is not empty, or whsec_ and base64'],
    [{ secret: 'whsec_AAE' }, 'The webhook\'s option "secret" must be a text that is not empty, or whsec_ and base64'],
    [{ secret: 'whsec_a b' }, 'The webhook\'s option "secret" must be a text that is not empty, or whsec_ and base64'],
    [{ secret: [] }, 'The webhook\'s option "secret" must be a text that is not empty, or whsec_ and base64'],
    [{ secret: ['a', 'whsec_'] }, 'The webhook\'s option "secret" must be a text that is not empty, or whsec_ and base64'],
    [{ batchLength: 0 }, 'The webhook\'s option "batchLength" must be 1 or more events, not 0'],
    [{ queueLength: 1.5 }, 'The webhook\'s option "queueLength" must be a whole number of events, not 1.5'],
    [{ timeoutMs: '1' }, 'The webhook\'s option "timeoutMs" must be a whole number of milliseconds, not "1"'],
    [
      { retries: 3 },
      'The webhook has no option "retries"; it has url, secret, batchLength, batchMs, queueLength, timeoutMs, retryMs, maxRetryMs, maxRejections, flushMs',
    ],
  ])('refuses %p', (options, message) => {
    const make = () => new Webhook(events, { url: 'http://a', secret, ...options } as WebhookOptions);
    expect(make).toThrow(new FeedOptionsError(message, Object.keys(options)[0] as string));
    expect(make).toThrow(expect.objectContaining({ code: 'FEED_OPTIONS', option: Object.keys(options)[0] }));
  });

  describe.each(['forRoot', 'forRootAsync'] as const)('as a module, by %s()', (method) => {
    const lines: string[] = [];
    const note = (...[message]: unknown[]) => lines.push(String(message));
    const logger: LoggerService = { log: note, warn: note, error: note };

    @Global()
    @Module({ providers: [{ provide: FeedService, useFactory: () => ({ events$: events }) }], exports: [FeedService] })
    class FeedsModule {}

    async function start(options: WebhookOptions) {
      lines.length = 0;
      const webhook = method === 'forRoot' ? WebhookModule.forRoot(options) : WebhookModule.forRootAsync({ useFactory: () => options });
      return NestFactory.createApplicationContext(
        { module: class Root {}, imports: [FeedsModule, webhook] },
        { logger, abortOnError: false },
      );
    }

    it('sends what happens until the shutdown, and logs its troubles without secrets', async () => {
      const receiver = await Receiver.start((response, count) => response.writeHead(count === 1 ? 500 : 200).end());
      const url = `${receiver.url}?token=secret`.replace('//', '//user:pass@');
      const app = await start({ url, secret, batchMs: 5, retryMs: 1 });
      emit(1);
      await until(() => app.get(Webhook).counts().sent === 1);
      emit(2, 3);
      await app.close();
      expect(receiver.times).toEqual([1, 1, 2, 3]);
      expect(lines.filter((line) => line.includes('events'))).toEqual([
        `Sending events to ${receiver.url} failed: response status 500. They are queued and retried.`,
        `Sending events to ${receiver.url} succeeds again. Since the start: 1 requests failed, 0 events dropped.`,
      ]);
    });

    it('says what was lost with the shutdown', async () => {
      const receiver = await Receiver.start(() => {});
      const app = await start({ url: receiver.url, secret, flushMs: 50 });
      emit(1, 3);
      await app.close();
      expect(lines).toContain(`The last 3 events were not sent to ${receiver.url} before the shutdown.`);
    });

    it('stops the start when an option is wrong', async () => {
      await expect(start({ url: '', secret })).rejects.toThrow(FeedOptionsError);
    });
  });
});

/** How many timers and sockets keep this process alive. Jest has a few that begin and end: it takes `many` webhooks to tell theirs. */
function alive(): number {
  return process.getActiveResourcesInfo().filter((name) => /^(Timeout|TCPSocketWrap)$/.test(name)).length;
}

/** Writes until the other side no longer reads. */
function flood(response: ServerResponse): void {
  while (!response.destroyed && response.write('x'.repeat(16_384)));
}
