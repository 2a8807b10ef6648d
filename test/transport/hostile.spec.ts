import type { IncomingMessage, ServerResponse } from 'node:http';
import { type FeedCounts } from '../../src/index.js';
import { expectNoEscapes } from '../support/escapes.js';
import { answersIn, exchange } from '../support/hostile/answers.js';
import { endAttack, Neighbour, serveAttacked } from '../support/hostile/attacked.js';
import { Hostile } from '../support/hostile/hostile.js';
import {
  floodsAfterRequest,
  type HostilePeer,
  halfCloses,
  neverReads,
  opensAndDrops,
  readsSlowly,
  resetsWhileHeadIsWritten,
  sendsHeadSlowly,
} from '../support/hostile/peers.js';
import { Peer } from '../support/peer.js';
import { platforms, type Served, until } from '../support/serve.js';

expectNoEscapes(endAttack);

/** Sockets and timers of this process, which is server and peers in one. */
const resources = () => process.getActiveResourcesInfo().filter((name) => /^(TCP|Timeout)/.test(name)).length;

const padding = 'x'.repeat(60_000);

/** How many of each kind are at work at once. */
const several = 5;

interface Kind {
  name: string;
  peer: HostilePeer;
  /** Whether they have done their worst, and the service what it does about that; the neighbour is one of the connections. */
  isDone: (hostile: Hostile, counts: FeedCounts) => boolean;
}

const kinds: Kind[] = [
  { name: 'never reads', peer: neverReads, isDone: (_, { closed }) => closed.slow === several },
  { name: 'reads a byte a second', peer: readsSlowly(1), isDone: ({ work }, { closed }) => work > 0 && closed.slow === several },
  { name: 'sends its head a byte a second', peer: sendsHeadSlowly(1), isDone: ({ open }, { opened }) => open === 0 && opened === 1 },
  { name: 'half-closes', peer: halfCloses, isDone: ({ open, work }) => open === 0 && work === 2 },
  { name: 'resets while its head is written', peer: resetsWhileHeadIsWritten, isDone: ({ work }) => work >= 100 },
  // None of the requests that it floods with is served.
  {
    name: 'floods bytes after its request',
    peer: floodsAfterRequest,
    isDone: ({ work }, { opened }) => work > 2 ** 23 && opened <= 4 * several + 1,
  },
  { name: 'opens and drops in a loop', peer: opensAndDrops, isDone: ({ work }) => work >= 100 },
];

const attack = (peer: HostilePeer, port: number) => Promise.all(Array.from({ length: several }, () => peer(port, '/feeds/attacked')));

describe.each(platforms)('on %s, a peer that', (platform) => {
  it.each(kinds)('$name takes nothing from others and leaves nothing behind', async ({ peer, isDone }) => {
    const before = resources();
    const served = await serveAttacked(platform);
    const neighbour = await Neighbour.of(served);
    const calm = resources();

    const attackers = await attack(peer, served.port);
    await until(async () => {
      await served.feeds.publish('attacked', padding);
      await neighbour.isServed();
      return attackers.every((hostile) => isDone(hostile, served.feeds.counts()));
    });
    await Hostile.stopAll();
    await neighbour.isServed();
    neighbour.expectAll();
    await until(() => served.feeds.counts().open === 1 && resources() <= calm);
    const { opened, closed, bufferedBytes } = served.feeds.counts();
    expect({ opened: closed.client + closed.slow, bufferedBytes }).toEqual({ opened: opened - 1, bufferedBytes: 0 });

    neighbour.leave();
    await until(() => served.feeds.counts().open === 0);
    expect(served.feeds.counts()).toMatchObject({ feeds: 0, handedOver: 0 });
    await served.app.close();
    await until(() => resources() <= before);
  });

  it.each(kinds)('$name does not keep the server from closing', async ({ peer }) => {
    const before = resources();
    const served = await serveAttacked(platform, { bufferBytes: 2 ** 26 });
    await attack(peer, served.port);
    // More than the system takes for a client that does not read.
    for (let n = 0; n < 20; n += 1) {
      await served.feeds.publish('attacked', padding.repeat(5));
      await new Promise(setImmediate);
    }

    await served.app.close();
    expect(served.feeds.counts()).toMatchObject({ open: 0, bufferedBytes: 0 });
    await Hostile.stopAll();
    await until(() => resources() <= before);
  });
});

describe.each(platforms)('on %s, a connection on which thousands of requests are pipelined', (platform) => {
  let served: Served;
  let reached: number;
  let atOnce: number;
  let mostAtOnce: number;
  let wraps: boolean;

  beforeEach(async () => {
    [reached, atOnce, mostAtOnce, wraps] = [0, 0, 0, false];
    const count = (_request: IncomingMessage, response: ServerResponse, next: () => void) => {
      reached += 1;
      atOnce += 1;
      mostAtOnce = Math.max(mostAtOnce, atOnce);
      response.on('close', () => {
        atOnce -= 1;
      });
      // As a middleware that may change what is written: then there is no handover.
      if (wraps) response.setHeader('Cache-Control', 'no-store').write = response.write.bind(response);
      next();
    };
    served = await serveAttacked(platform, {}, (app) => app.use(count));
  });

  const thousands = 5000;
  const flood = (path: string) => `GET ${path} HTTP/1.1\r\nHost: test\r\n\r\n`.repeat(thousands);

  it.each([false, true])('has the application see none but the first, which becomes a feed (not handed over: %j)', async (isWrapped) => {
    wraps = isWrapped;
    const peer = await Peer.to(served.port);
    peer.send(flood('/feeds/1'));
    await peer.sees('\r\n\r\n');
    await until(() => peer.socket.writableLength === 0);
    await served.feeds.publish('1', 'the first');
    await peer.sees('the first\n');
    expect(served.feeds.counts()).toMatchObject({ open: 1, opened: 1, rejected: 0, handedOver: isWrapped ? 0 : 1 });
    peer.socket.end();
    await until(() => served.feeds.counts().open === 0);
    expect(reached).toBe(1);
  });

  it('is closed when its client sends no more behind them', async () => {
    const peer = await Peer.to(served.port);
    peer.send(flood('/feeds/1').slice(0, 10_000));
    peer.socket.end();
    await peer.closed();
    await until(() => served.feeds.counts().open === 0);
    expect(reached).toBe(1);
  });

  it('has the application see one after the other where they are refused, and neighbours between them', async () => {
    const neighbour = await Neighbour.of(served);
    const text = exchange(served.port, `${flood('/feeds/not%20an%20id')}GET /route HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n`);
    await until(() => reached > 100);
    await neighbour.isServed();
    expect(reached).toBeLessThan(thousands);
    const answers = answersIn(await text);
    expect(answers.map(({ status }) => status)).toEqual([...Array(thousands).fill(400), 200]);
    // One of them, and one of the neighbour's.
    expect(mostAtOnce).toBeLessThanOrEqual(2);
  });
});
