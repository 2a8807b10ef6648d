import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { type ClientCounts, Clients } from '../../load/bench/clients.js';
import { scratch } from '../../load/bench/flood.js';
import { atEnd } from '../support/ends.js';
import { until } from '../support/until.js';

const compiled = await Clients.compile(scratch());
const suite = typeof compiled === 'string' ? describe.skip : describe;
const program = typeof compiled === 'string' ? '' : compiled.program;

const head = 'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n';
const refusal = 'HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Length: 0\r\n\r\n';
const frame = (text: string) => `${(text.length + 1).toString(16)}\r\n${text}\n\r\n`;

/** Clients of a server that answers each of them as it is told, by the number of the client and that of its attempt. */
async function clientsOf(count: number, answer: (socket: Socket, n: number, attempt: number) => void, retryMs = 0): Promise<Clients> {
  const attempts = new Map<number, number>();
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', (request) => {
      const n = Number(/^GET \/test\?id=(\d+)&id=all HTTP/.exec(request.toString())?.[1]);
      attempts.set(n, (attempts.get(n) ?? 0) + 1);
      answer(socket, n, attempts.get(n) as number);
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  atEnd(() => server.close());
  const { port } = server.address() as AddressInfo;
  const urls = [new URL(`http://127.0.0.1:${port}`)];
  const clients = Clients.start(program, { count, rate: 1000, retryMs, urls, path: ['/test?id=', '&id=all'] });
  atEnd(() => clients.end());
  return clients;
}

/** Waits until the counts are as they must be. */
async function counted(clients: Clients, counts: Partial<ClientCounts>): Promise<void> {
  let found: Partial<ClientCounts> = {};
  await until(async () => {
    const all = await clients.report();
    found = Object.fromEntries(Object.keys(counts).map((name) => [name, all[name as keyof ClientCounts]]));
    return JSON.stringify(found) === JSON.stringify(counts);
  }).catch(() => {});
  expect(found).toEqual(counts);
}

suite('the clients of the bench at scale', () => {
  it('count what became of each connection', async () => {
    const answers: ((socket: Socket) => unknown)[] = [
      (socket) => socket.write(head),
      (socket) => socket.end(refusal),
      (socket) => socket.resetAndDestroy(),
      (socket) => socket.end(head),
      () => {},
    ];
    const clients = await clientsOf(answers.length, (socket, n) => answers[n - 1]?.(socket));
    const counts = { asked: 5, waiting: 1, open: 1, refused: 1, dropped: 1, ended: 1, away: 0 };
    await counted(clients, counts);
    expect(await clients.giveUp()).toMatchObject(counts);
    expect(await clients.firstBytes()).toHaveLength(3);
  });

  it('find chunks that are missing, and those of another connection, also where they come in pieces', async () => {
    const sockets: Socket[] = [];
    const clients = await clientsOf(2, (socket, n) => {
      sockets[n] = socket.setNoDelay();
      socket.write(head);
    });
    await counted(clients, { open: 2 });
    const [first, second] = [frame('Chunk 1 for id /test?id=1&id=all'), frame('Chunk 2 for id /test?id=1&id=all')];
    sockets[1]?.write(first + second.slice(0, 9));
    await counted(clients, { chunks: 1, missing: 0, misdelivered: 0 });
    sockets[1]?.write(second.slice(9));
    await counted(clients, { chunks: 2, missing: 0, misdelivered: 0 });
    sockets[2]?.write(frame('Chunk 3 for id /test?id=1&id=all'));
    await counted(clients, { chunks: 3, missing: 2, misdelivered: 1 });
    await clients.watch(1_000_000);
    await counted(clients, { chunks: 0, missing: 0 });
  });

  it('count a broadcast once for each, and its repetitions', async () => {
    const sockets: Socket[] = [];
    const clients = await clientsOf(2, (socket) => {
      sockets.push(socket);
      socket.write(head);
    });
    await counted(clients, { open: 2 });
    await clients.expect(7);
    for (const socket of sockets) socket.write(frame('all\tBroadcast 7'));
    await counted(clients, { got: 2, repeated: 0 });
    sockets[0]?.write(frame('all\tBroadcast 7'));
    await counted(clients, { got: 2, repeated: 1 });
  });

  it('come back after they were refused or dropped, where they are told to', async () => {
    const clients = await clientsOf(
      1,
      (socket, _, attempt) => {
        if (attempt === 1) socket.end(refusal);
        else if (attempt === 2) socket.resetAndDestroy();
        else socket.write(head);
      },
      1,
    );
    await counted(clients, { asked: 1, open: 1, refused: 1, dropped: 1, away: 0 });
  });
});
