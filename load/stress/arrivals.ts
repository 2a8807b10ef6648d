// Clients that all come at once, each with a feed of its own, and stay: a process of its own, since they take a core. They speak bytes, which
// costs a third of what Node's HTTP client does. Arguments: how many come, how many a second, the URL. Tells its parent what they have seen.
import { connect, type Socket } from 'node:net';
import { decimals, percentile } from '../lib/figures.js';
import { atRate, until } from '../lib/waits.js';

/** What they have seen. */
export interface Arrivals {
  /** Those that were taken, refused with a `Retry-After`, answered otherwise, closed without an answer, and still waiting in the end. */
  taken: number;
  refused: number;
  others: number;
  closed: number;
  waiting: number;
  /** From the beginning of the connection to the first byte, p99 and the longest, in milliseconds. */
  takenMs: number;
  takenMostMs: number;
  refusedMs: number;
  /** How long it took until all had come, in milliseconds. */
  tookMs: number;
}

/** How long one waits for an answer, in milliseconds. */
const patienceMs = 60_000;

const [count, perSecond, to] = process.argv.slice(2);
const { hostname: host, port } = new URL(to as string);
/** Addresses to come from, in turn: one has some 28,000 ports. */
const sources = Array.from({ length: 16 }, (_, n) => `127.0.0.${n + 1}`);

const takenMs: number[] = [];
const refusedMs: number[] = [];
let [others, closed] = [0, 0];
const sockets = new Set<Socket>();
/** Why those were closed that were not answered. */
const reasons = new Map<string, number>();

function come(n: number): void {
  const begunAt = performance.now();
  const socket = connect({ host, port: Number(port), localAddress: sources[n % sources.length] });
  let text = '';
  let isAnswered = false;
  sockets.add(socket);
  socket.write(`GET /test/arrival-${n} HTTP/1.1\r\nHost: load\r\nAccept: text/plain\r\n\r\n`);
  socket.on('data', (bytes: Buffer) => {
    if (isAnswered) return;
    text += bytes.toString('latin1');
    if (!text.includes('\r\n\r\n')) return;
    isAnswered = true;
    const tookMs = performance.now() - begunAt;
    if (text.startsWith('HTTP/1.1 200 ')) takenMs.push(tookMs);
    else if (/^HTTP\/1\.1 503 .*\r\nretry-after: \d+\r\n/is.test(text)) refusedMs.push(tookMs);
    else others += 1;
  });
  socket.on('error', ({ message }) => {
    if (!isAnswered) reasons.set(message, (reasons.get(message) ?? 0) + 1);
  });
  socket.on('close', () => {
    sockets.delete(socket);
    if (!isAnswered) closed += 1;
  });
}

const begunAt = performance.now();
await atRate(Number(count), Number(perSecond), come);
const tookMs = performance.now() - begunAt;
await until(() => takenMs.length + refusedMs.length + others + closed === Number(count), patienceMs);
process.stderr.write(`overload: ${decimals(Number(count))} came within ${decimals(tookMs)} ms\n`);
for (const [reason, times] of reasons) process.stderr.write(`overload: ${reason}: ${times}\n`);
const arrivals: Arrivals = {
  taken: takenMs.length,
  refused: refusedMs.length,
  others,
  closed,
  waiting: Number(count) - takenMs.length - refusedMs.length - others - closed,
  takenMs: percentile(takenMs, 0.99),
  takenMostMs: percentile(takenMs, 1),
  refusedMs: percentile(refusedMs, 0.99),
  tookMs,
};
process.once('disconnect', () => process.exit(0));
process.send?.(arrivals);
