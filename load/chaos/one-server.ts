import { Engine as Server } from '../../tools/engines.mjs';
import { Link } from '../../tools/link.mjs';
import { atEnd } from '../lib/server.js';
import { ask } from './redis-client.js';
import type { Engine, Stage } from './stage.js';

/** A server, which ends with the command. */
export async function startServer(...[kind, ...more]: Parameters<typeof Server.start>): Promise<Server> {
  const server = await Server.start(kind, ...more);
  atEnd(() => server.stop());
  return server;
}

/** A path to a server, or to what listens on a port. */
export async function linkTo({ port }: { port: number }, delayMs = 0): Promise<Link> {
  const link = await Link.to(port, delayMs);
  atEnd(() => link.close());
  return link;
}

const through = ({ url, port }: Server, link: Link) => url.replace(`:${port}`, `:${link.port}`);

/** One process, and only its clients' connections are cut. */
export async function memory(stage: Stage): Promise<Engine> {
  return { urlOf: () => 'memory', disasters: [stage.severs(0.1, 0.1), stage.severs(0.85, 1)] };
}

/** A server that keeps what it has acknowledged, and whatever befalls it and the nodes. */
async function faithful(kind: 'redis' | 'nats', stage: Stage, roundTripMs: number): Promise<Engine> {
  const server = await startServer(kind);
  const link = await linkTo(server, roundTripMs / 2);
  return {
    urlOf: (node) => (node === 2 || roundTripMs > 0 ? through(server, link) : server.url),
    disasters: [
      stage.severs(0.1, 0.1),
      ...stage.restartsNode(0.17, 0.27),
      // Before the engine is killed: with every connection that is made again, no feed counts as silent any more.
      [0.32, `${roundTripMs > 0 ? 'all nodes are' : 'node 2 is'} cut off from ${kind}`, () => link.cut()],
      [0.49, 'what was cut off is let through again', () => link.mend()],
      [0.62, `${kind} is killed`, () => server.kill()],
      [0.67, `${kind} is started again`, () => server.restart()],
      stage.severs(0.85, 1),
    ],
  };
}

export const redis = (stage: Stage): Promise<Engine> => faithful('redis', stage, 0);
export const nats = (stage: Stage): Promise<Engine> => faithful('nats', stage, 0);
export const slowLink = (stage: Stage): Promise<Engine> => faithful('redis', stage, stage.options.roundTripMs);

/** Nodes that are killed, halted and cut off for longer than it takes until they count as lost. */
async function lonely(kind: 'redis' | 'nats', stage: Stage): Promise<Engine> {
  const server = await startServer(kind);
  const link = await linkTo(server);
  return {
    urlOf: (node) => (node === 2 ? through(server, link) : server.url),
    disasters: [
      stage.severs(0.05, 0.3),
      ...stage.restartsNode(0.1, 0.2),
      [0.25, `node 2 is cut off from ${kind}`, () => link.cut()],
      [0.5, 'it is let through again', () => link.mend()],
      ...stage.haltsNode(1, 0.55, 0.8),
      [0.82, `${kind} is halted`, () => server.pause()],
      [0.88, `${kind} goes on`, () => server.resume()],
      [0.9, `${kind} is killed`, () => server.kill()],
      [0.93, `${kind} is started again`, () => server.restart()],
      stage.severs(0.97, 0.5),
    ],
  };
}

export const loneliness = (stage: Stage): Promise<Engine> => lonely('redis', stage);
export const natsLoneliness = (stage: Stage): Promise<Engine> => lonely('nats', stage);

/** Redis as it comes from the package: it saves a snapshot from time to time, and is killed long after the last one. */
export async function rdbRestart(stage: Stage): Promise<Engine> {
  const server = await startServer('redis', '--appendonly', 'no');
  const link = await linkTo(server);
  const save = () => ask(server.port, 'SAVE');
  return {
    urlOf: (node) => (node === 2 ? through(server, link) : server.url),
    forgets: true,
    disasters: [
      stage.severs(0.1, 0.1),
      ...stage.restartsNode(0.17, 0.27),
      [0.2, 'redis saves a snapshot', save],
      // What others get from now on, its followers never will.
      [0.36, 'node 2 is cut off from redis', () => link.cut()],
      [0.45, 'redis is killed', () => server.kill()],
      [0.48, 'redis is started again, from its snapshot', () => server.restart()],
      [0.52, 'node 2 is let through again', () => link.mend()],
      [0.6, 'redis saves a snapshot', save],
      stage.severs(0.69, 0.5),
      [0.7, 'redis is killed, and started again at once, from its snapshot', () => server.kill().then(() => server.restart())],
      stage.severs(0.85, 1),
    ],
  };
}

/** Redis, to which one node has a path that is dead in one direction, then in the other. */
export async function oneWay(stage: Stage): Promise<Engine> {
  const server = await startServer('redis');
  const link = await linkTo(server);
  return {
    urlOf: (node) => (node === 2 ? through(server, link) : server.url),
    mostAnswerMs: 10_000,
    disasters: [
      stage.severs(0.1, 0.1),
      [0.2, 'nothing gets from node 2 to redis any more', () => link.deafen()],
      [0.4, 'everything gets through again', () => link.mend()],
      [0.5, 'nothing gets from redis to node 2 any more', () => link.mute()],
      [0.7, 'everything gets through again', () => link.mend()],
      stage.severs(0.85, 1),
    ],
  };
}
