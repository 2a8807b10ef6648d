import { connect } from 'node:net';

/** One answer of a server. */
export interface Answer {
  status: number;
  head: string;
  body: string;
}

/** How long a server may take for its answers on one connection, in milliseconds. */
const patienceMs = 100_000;

/**
 * Sends bytes (as Latin-1) on a connection of their own and waits until the server closes it.
 *
 * @returns all that came, also where the server reset the connection
 * @throws an Error with what was sent where the server does not close
 */
export async function exchange(port: number, bytes: string): Promise<string> {
  const socket = connect(port, '127.0.0.1').setEncoding('latin1');
  let text = '';
  let isHanging = false;
  socket.on('data', (more: string) => {
    text += more;
  });
  socket.on('error', () => {});
  socket.setTimeout(patienceMs, () => {
    isHanging = true;
    socket.destroy();
  });
  socket.write(bytes, 'latin1');
  await new Promise((resolve) => socket.once('close', resolve));
  if (isHanging) throw new Error(`not closed after ${JSON.stringify(bytes)}; what came: ${JSON.stringify(text)}`);
  return text;
}

/**
 * Reads answers one behind the other, as a client that pipelines must (RFC 9112 section 9.3.2).
 *
 * @throws an Error where there is anything but answers: one that was split by what a request brought, for example
 */
export function answersIn(text: string): Answer[] {
  const answers: Answer[] = [];
  for (let at = 0; at < text.length; ) {
    const headEnd = text.indexOf('\r\n\r\n', at);
    const head = text.slice(at, headEnd);
    const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(head)?.[1]);
    if (headEnd < 0 || Number.isNaN(status)) throw new Error(`no answer: ${JSON.stringify(text.slice(at, at + 1000))}`);
    // Without a length the body goes on to the connection's end.
    const length = Number(/\r\ncontent-length: (\d+)/i.exec(head)?.[1] ?? text.length);
    const body = text.slice(headEnd + 4, headEnd + 4 + length);
    answers.push({ status, head, body });
    at = headEnd + 4 + length;
  }
  return answers;
}

/** Does something for each of them, so many at a time. */
export async function forEach<T>(all: readonly T[], atOnce: number, task: (each: T) => Promise<void>): Promise<void> {
  const rest = all.values();
  const worker = async () => {
    for (const each of rest) await task(each);
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
}
