import { connect } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';

/** One answer. */
export interface Answer {
  status: number;
  head: string;
  body: string;
  /** `open` where only the end of the connection ends it, `cut` where it should have gone on. */
  end: 'whole' | 'open' | 'cut';
}

/** How long a client waits for more before it says that it will send nothing more, in milliseconds. */
const quietMs = 20;
/** How long a server may take to close a connection on which nothing more comes, in milliseconds. */
const patienceMs = 60_000;

/**
 * Sends bytes (as Latin-1) on a connection of their own, in these pieces. Leaves when an answer comes that goes on, as that of a feed does;
 * otherwise says after a while that it will send nothing more, and waits until the server closes.
 *
 * @param hasHead whether one of the requests may be a `HEAD`, whose answers have no bodies
 * @param isWhole whether the server closes by itself behind its last answer
 * @throws an Error where anything but answers comes, or the server does not close
 */
export async function talk(port: number, pieces: readonly string[], hasHead = false, isWhole = false): Promise<Answer[]> {
  const socket = connect(port, '127.0.0.1').setEncoding('latin1').setNoDelay(true);
  let text = '';
  let isReset = false;
  let failure: unknown;
  let answers: Answer[] = [];
  const closed = new Promise((resolve) => socket.once('close', resolve));
  socket.on('error', () => {
    isReset = true;
  });
  socket.on('data', (more: string) => {
    text += more;
    try {
      answers = answersIn(text, hasHead);
    } catch (error) {
      failure = error;
      socket.destroy();
    }
    if (answers.some(({ status, end }) => status === 200 && end !== 'whole')) socket.destroy();
    quiet.refresh();
  });
  const quiet = setTimeout(() => socket.end(), isWhole ? patienceMs / 2 : quietMs);
  for (const piece of pieces) {
    if (socket.destroyed) break;
    socket.write(piece, 'latin1');
    quiet.refresh();
    await turn();
  }
  let isHanging = false;
  const patience = setTimeout(() => {
    isHanging = true;
    socket.destroy();
  }, patienceMs);
  await closed;
  clearTimeout(quiet);
  clearTimeout(patience);
  if (failure) throw failure;
  if (isHanging) throw new Error(`not closed; what came: ${JSON.stringify(text.slice(-500))}`);
  const cut = answers.find(({ status, end }) => end === 'cut' && status !== 200);
  if (cut && !isReset) throw new Error(`cut: ${JSON.stringify(text.slice(-500))}`);
  return answers;
}

const heads = /^HTTP\/1\.[01] (\d{3}) [^\r\n\0]*((?:\r\n[\w!#$%&'*+.^`|~-]+:[^\r\n\0]*)*)\r\n\r\n/;

/**
 * The answers one behind the other (RFC 9112 section 6.3); the last may not have ended.
 *
 * @throws an Error where there is anything else
 */
export function answersIn(text: string, hasHead: boolean): Answer[] {
  const answers: Answer[] = [];
  for (let at = 0; at < text.length; ) {
    const found = heads.exec(text.slice(at));
    if (!found) {
      const isComplete = text.includes('\r\n\r\n', at) || !/^H(T(T(P|$)|$)|$)/.test(text.slice(at));
      if (isComplete) throw new Error(`no answer at ${at}: ${JSON.stringify(text.slice(Math.max(0, at - 500), at + 1000))}`);
      answers.push({ status: 0, head: text.slice(at), body: '', end: 'cut' });
      return answers;
    }
    const [head, digits, fields] = found as unknown as [string, string, string];
    const status = Number(digits);
    const bodyAt = at + head.length;
    const hasNone = status < 200 || status === 204 || status === 304;
    const body: Body = hasNone ? { body: '', end: 'whole', next: bodyAt } : bodyIn(text, bodyAt, fields);
    // Without a body, the next answer is where it would have been, or nothing is.
    const isAnswerNext = text.startsWith('HTTP/1.', bodyAt) || text.length === bodyAt;
    const isBare = hasHead && isAnswerNext;
    const { next, ...rest } = isBare ? { body: '', end: 'whole' as const, next: bodyAt } : body;
    answers.push({ status, head, ...rest });
    at = next;
  }
  return answers;
}

interface Body extends Pick<Answer, 'body' | 'end'> {
  next: number;
}

/** Where what follows a request is none, Fastify writes this into the answer that is under way, and closes (its `clientErrorHandler`). */
const fastifyRefusal = 'HTTP/1.1 400 Bad Request\r\nContent-Length: ';

function bodyIn(text: string, start: number, fields: string): Body {
  const length = /\r\ncontent-length: (\d+)/i.exec(fields)?.[1];
  if (length !== undefined) {
    const next = start + Number(length);
    return { body: text.slice(start, next), end: next <= text.length ? 'whole' : 'cut', next };
  }
  const rest = { body: text.slice(start), next: text.length };
  if (!/\r\ntransfer-encoding: chunked/i.test(fields)) return { ...rest, end: 'open' };
  let body = '';
  for (let at = start; ; ) {
    const line = /^([0-9a-f]{1,8})\r\n/i.exec(text.slice(at, at + 10));
    if (text.startsWith(fastifyRefusal, at)) return { body, end: 'cut', next: text.length };
    if (!line && text.length - at >= 10) throw new Error(`no chunk: ${JSON.stringify(text.slice(at, at + 100))}`);
    const size = Number.parseInt(line?.[1] ?? '', 16);
    const from = at + (line?.[0].length ?? 0);
    if (!line || from + size + 2 > text.length) return { ...rest, body, end: 'cut' };
    if (!text.startsWith('\r\n', from + size)) throw new Error(`a chunk is longer than its size: ${JSON.stringify(text.slice(at))}`);
    if (size === 0) return { body, end: 'whole', next: from + 2 };
    body += text.slice(from, from + size);
    at = from + size + 2;
  }
}
