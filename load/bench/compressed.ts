import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import { connect, type Socket } from 'node:net';
import { pipeline, type Readable } from 'node:stream';
import { constants, createGunzip } from 'node:zlib';
import { sum } from '../lib/figures.js';
import { cpuMs, rssBytes, using } from '../lib/server.js';
import { Service } from '../lib/service.js';
import { sleep, until } from '../lib/waits.js';
import { pairedRuns } from './paired-runs.js';
import { services } from './servers.js';
import { runs, type Table } from './table.js';

/** Messages before the first one counts, so that V8 has compiled what it is going to, and those that count. */
const [warmUp, messages] = [30, 60];

/** Connections that are opened at a time. */
const atOnce = 32;

/** Connections that come first, which do not count: as many as the service collects its garbage behind, and how long that may take. */
const [firstOnes, collectMs] = [1001, 6000];

/** For how long nothing has come once everything has, in milliseconds. */
const quietMs = 300;

const sides = ['as it is', 'gzip'] as const;

/** The most that gzip may take of each, by what is taken without it. Of memory it may take no more: the rest is for noise. */
const most = { micros: 1.4, bytes: 0.45, kilobytes: 1.1 };

/** A kilobyte of JSON, as an order book has it: names that come again, and figures that do not. */
function book(n: number): string {
  const level = (price: number, i: number) => ({
    price: Number(price.toFixed(2)),
    size: 10 + ((n * 7919 + i * 104_729) % 900),
    orders: (n + i) % 7,
  });
  const bids = Array.from({ length: 11 }, (_, i) => level(101.23 - i * 0.01, i));
  const asks = Array.from({ length: 11 }, (_, i) => level(101.25 + i * 0.01, i + 11));
  return JSON.stringify({ symbol: 'ACME', venue: 'XNYS', sequence: n, at: 1_796_000_000_000 + n * 137, bids, asks });
}

/** A follower that reads nothing of what it gets but how much it is. */
async function follow({ hostname: host, port }: URL, n: number, side: string): Promise<Socket> {
  const socket = connect({ host, port: Number(port), localAddress: `127.0.0.${(n % 16) + 1}` });
  socket.on('error', () => {}).write(`GET /test/book?format=ndjson HTTP/1.1\r\nHost: ${host}\r\nAccept-Encoding: ${side}\r\n\r\n`);
  await once(socket, 'data');
  return socket.resume();
}

/** A follower that decodes and checks what it gets. */
class Witness {
  private text = '';
  readonly response: Promise<IncomingMessage>;

  constructor(url: URL, side: string) {
    const headers = { 'accept-encoding': side };
    this.response = new Promise((resolve, reject) => {
      get(new URL('/test/book?format=ndjson', url), { headers, agent: false }, resolve).on('error', reject);
    });
  }

  async read(): Promise<void> {
    const response = await this.response;
    const isCoded = response.headers['content-encoding'] === 'gzip';
    const readable: Readable = isCoded ? pipeline(response, createGunzip({ flush: constants.Z_SYNC_FLUSH }), () => {}) : response;
    readable.setEncoding('utf8').on('data', (text: string) => {
      this.text += text;
    });
    response.on('error', () => {});
  }

  /** How many messages it got in order, the first of them counted as 0. */
  get count(): number {
    const data = this.text
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.stringify(JSON.parse(line).data));
    return data.every((each, n) => each === book(n)) ? data.length : -1;
  }
}

async function run(adapter: string, side: string, connections: number): Promise<{ figures: number[]; faults: string[] }> {
  const coding = side === 'gzip' ? 'gzip' : 'identity';
  return using(new Service({ FEED_ADAPTER: adapter, FEED_COMPRESS_MIN_BYTES: '256' }), async (service) => {
    const { url, pid } = service;
    const faults: string[] = [];
    const sockets: Socket[] = [];
    const open = async (upTo: number) => {
      let next = sockets.length;
      const opener = async () => {
        while (next < upTo) sockets.push(await follow(url, next++, coding));
      };
      await Promise.all(Array.from({ length: atOnce }, opener));
    };
    const received = () => sum(sockets.map(({ bytesRead }) => bytesRead));
    const quiet = async () => {
      let before = -1;
      await until(async () => {
        const isQuiet = before === received();
        before = received();
        await sleep(quietMs);
        return isQuiet && before === received();
      });
    };
    let published = 0;
    const publish = async (count: number) => {
      for (const end = published + count; published < end; published += 1) {
        const { status, text } = await service.post('/test/book', book(published), 'application/json');
        if (status !== 201) throw new Error(`a message was answered with status ${status}: ${text}`);
      }
      await quiet();
    };
    const witness = new Witness(url, coding);
    await witness.read();
    // What a process takes once, for its first connections and messages.
    await open(firstOnes);
    await publish(warmUp);
    await sleep(collectMs);
    const first = { bytes: rssBytes(pid), length: sockets.length };
    await open(first.length + connections);
    await sleep(collectMs);
    const kilobytes = (rssBytes(pid) - first.bytes) / connections / 1024;
    const before = { cpu: cpuMs(pid), bytes: received() };
    await publish(messages);
    const deliveries = messages * sockets.length;
    const figures = [((cpuMs(pid) - before.cpu) * 1000) / deliveries, (received() - before.bytes) / deliveries, kilobytes];
    if (witness.count !== published) faults.push(`a follower decoded ${witness.count} of ${published} messages`);
    const { handedOver } = await service.counts();
    if (handedOver !== sockets.length + 1) faults.push(`${handedOver} of ${sockets.length + 1} connections were handed over`);
    for (const socket of sockets) socket.destroy();
    (await witness.response).destroy();
    return { figures, faults };
  });
}

/** What compressing messages costs and saves: followers of one feed, as it is and with gzip, in turns. */
export function compressed(connections: number, rounds: number): Promise<Table[]> {
  return pairedRuns({
    heading: `${messages} messages of ${Buffer.byteLength(book(0))} bytes of JSON to ${connections} followers of a feed, as it is and with gzip, ${runs(rounds)}`,
    head: 'server',
    sides,
    servers: services,
    measures: [
      { what: 'µs a delivery', digits: 2, most: most.micros },
      { what: 'bytes a delivery', digits: 0, most: most.bytes },
      { what: 'KB a connection', digits: 2, most: most.kilobytes },
    ],
    rounds,
    run: (adapter, side) => run(adapter, side, connections),
  });
}
