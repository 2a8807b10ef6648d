import { connect, type Socket } from 'node:net';
import { SignJWT } from 'jose';
import { Engine } from '../../tools/engines.mjs';
import { type Check, check, decimals, sum } from '../lib/figures.js';
import { startNode } from '../lib/roaming.js';
import { atEnd } from '../lib/server.js';
import type { Service } from '../lib/service.js';
import { atRate, sleep, until } from '../lib/waits.js';

interface ControlOptions {
  adapter: string;
  connections: number;
}

/** How many connections each subject has, and of how many subjects each thing is tried. */
const [each, tries] = [100, 5];
const secret = 'a secret of the load tests of 32 bytes or more';
const adminKey = 'operator';
/** How long everything may take, in milliseconds: a list, an end, a revocation. */
const bounds = { list: 200, end: 1000, revoke: 1000 };

const asOperator = { authorization: `Bearer ${adminKey}` };

function tokenOf(subject: string): Promise<string> {
  return new SignJWT({ feeds: ['*'], sub: subject, jti: `token of ${subject}` })
    .setProtectedHeader({ alg: 'HS256' })
    .setExpirationTime('1h')
    .sign(new TextEncoder().encode(secret));
}

/** The connections of a subject, spread over the nodes. */
class Party {
  readonly sockets: Socket[] = [];
  answered = 0;
  closed = 0;

  constructor(
    readonly subject: string,
    readonly token: string,
  ) {}

  follow({ url }: Service): void {
    const socket = connect(Number(url.port), url.hostname).on('error', () => {});
    socket.once('data', () => {
      this.answered += 1;
    });
    socket.resume().on('close', () => {
      this.closed += 1;
    });
    socket.write(`GET /test/${this.subject} HTTP/1.1\r\nHost: load\r\nAuthorization: Bearer ${this.token}\r\n\r\n`);
    this.sockets.push(socket);
  }
}

async function timed<T>(work: () => Promise<T>): Promise<{ ms: number; value: T }> {
  const begun = performance.now();
  const value = await work();
  return { ms: performance.now() - begun, value };
}

/** What an operator does with three nodes' connections, and how long it takes. */
export async function control({ adapter, connections }: ControlOptions): Promise<Check[]> {
  const count = Math.round((connections * 0.9) / each) * each;
  const engine = await Engine.start('redis');
  atEnd(() => engine.stop());
  const env = { FEED_ADAPTER: adapter, FEED_BROKER: engine.url, FEED_JWT_SECRETS: secret, FEED_ADMIN_KEY: adminKey };
  const nodes = await Promise.all(['a', 'b', 'c'].map((name) => startNode(name, env)));
  const [first] = nodes;
  const parties = await Promise.all(
    Array.from({ length: count / each }, async (_, n) => new Party(`subject-${n}`, await tokenOf(`subject-${n}`))),
  );
  await atRate(count, 1000, (n) => parties[n % parties.length].follow(nodes[Math.floor(n / parties.length) % nodes.length]));
  const isOpen = () => sum(parties.map(({ answered }) => answered)) === count;
  if (!(await until(isOpen, 60_000))) throw new Error('not all connections were answered');
  await sleep(2000);

  const longest = { list: 0, end: 0, revoke: 0 };
  const wrong: string[] = [];
  const note = (what: keyof typeof longest, ms: number, fault: string | false) => {
    longest[what] = Math.max(longest[what], ms);
    if (fault) wrong.push(fault);
  };
  for (const { subject } of parties.slice(0, tries)) {
    const { ms, value } = await timed(() => first.ask(`/admin/connections?subject=${subject}&limit=1000`, 'GET', asOperator));
    const { connections: listed = [], missing = ['?'] } = JSON.parse(value.text);
    note('list', ms, (listed.length !== each || missing.length > 0) && `${listed.length} listed`);
  }
  for (const party of parties.slice(0, tries)) {
    const { ms, value } = await timed(async () => {
      const answer = await first.ask(`/admin/connections?subject=${party.subject}`, 'DELETE', asOperator);
      await until(() => party.closed === each, 10_000);
      return answer;
    });
    note('end', ms, (JSON.parse(value.text).ended !== each || party.closed !== each) && `${party.closed} ended`);
  }
  for (const party of parties.slice(tries, 2 * tries)) {
    const body = JSON.stringify({ subject: party.subject, until: Date.now() + 3_600_000 });
    const headers = { ...asOperator, 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
    const { ms } = await timed(async () => {
      const { status } = await first.ask('/admin/revocations', 'POST', headers, body);
      const path = `/test/${party.subject}?mode=once`;
      const isRefused = async () => {
        const answers = await Promise.all(nodes.map((node) => node.ask(path, 'GET', { authorization: `Bearer ${party.token}` })));
        return answers.every((answer) => answer.status === 403);
      };
      while (!(await isRefused())) await sleep(5);
      await until(() => party.closed === each, 10_000);
      note('revoke', 0, status >= 300 && `answered with ${status}`);
    });
    note('revoke', ms, party.closed !== each && `${party.closed} ended`);
  }
  for (const { sockets } of parties) for (const socket of sockets) socket.destroy();
  for (const node of nodes) await node.stop();

  const row = (what: string, name: keyof typeof bounds) =>
    check(`control: ${what}`, `${decimals(longest[name])} ms`, `≤ ${decimals(bounds[name])} ms`, longest[name] <= bounds[name]);
  const names = `${each} of ${decimals(count)} connections on 3 nodes`;
  return [
    row(`a subject's ${names} listed, the longest of ${tries}`, 'list'),
    row(`a subject's connections ended by one request, the longest of ${tries}`, 'end'),
    row(`a subject's tokens refused by all nodes and its connections ended, the longest of ${tries}`, 'revoke'),
    check('control: answers that were not whole', wrong.join(', ') || '0', '0', wrong.length === 0),
  ];
}
