// Clients that all come at once, each with a feed of its own, and stay: a process of its own, since they take a core. They speak bytes, which
// costs a third of what Node's HTTP client does. Arguments: how many come, how many a second, the URL. Tells its parent what they have seen.
import { connect, type Socket } from 'node:net';
import { decimals, percentile } from '../lib/figures.js';
import { atRate, until } from '../lib/waits.js';

/** What they have seen. */
export interface Arrivals {
  /** Those that were taken, refused with a `Retry-After`, answered otherwise, and closed without an answer. */
  taken: number;
  refused: number;
  others: number;
  unanswered: number;
  /** From the beginning of the connection to the first byte, p99 and the longest, in milliseconds. */
  takenMs: number;
  takenMostMs: number;
  refusedMs: number;
  /** How long it took until all had come, in milliseconds. */
  tookMs: number;
}

/** How long one waits for an answer, in milliseconds. */
const patienceMs = 30_000;

const [count, perSecond, to] = process.argv.slice(2);
const { hostname: host, port } = new URL(to as string);
/** Addresses to come from, in turn: one has some 28,000 ports. */
const sources = Array.from({ length: 16 }, (_, n) => `127.0.0.${n + 1}`);

const takenMs: number[] = [];
const refusedMs: number[] = [];
let [others, unanswered] = [0, 0];
const sockets = new Set<Socket>();

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
  socket.on('error', () => {});
  socket.on('close', () => {
    sockets.delete(socket);
    if (!isAnswered) unanswered += 1;
  });
}

const begunAt = performance.now();
await atRate(Number(count), Number(perSecond), come);
const tookMs = performance.now() - begunAt;
await until(() => takenMs.length + refusedMs.length + others + unanswered === Number(count), patienceMs);
process.stderr.write(`overload: ${decimals(Number(count))} came within ${decimals(tookMs)} ms\n`);
const arrivals: Arrivals = {
  taken: takenMs.length,
  refused: refusedMs.length,
  others,
  unanswered: Number(count) - takenMs.length - refusedMs.length - others,
  takenMs: percentile(takenMs, 0.99),
  takenMostMs: percentile(takenMs, 1),
  refusedMs: percentile(refusedMs, 0.99),
  tookMs,
};
process.once('disconnect', () => process.exit(0));
process.send?.(arrivals);
