import { headEnd } from './socket-proxy.js';

const get = Buffer.from('GET ');

/** Whether the first bytes of a socket are, or may become, a `GET` for one of some targets. */
export function mayRequest(targets: { mayBe(target: string): boolean }, bytes: Buffer): boolean {
  for (let n = 0; n < get.length && n < bytes.length; n += 1) if (bytes[n] !== get[n]) return false;
  const target = targetOf(bytes);
  return target === undefined || targets.mayBe(target);
}

/** The target of a `GET`, which these first bytes are, or may become; undefined where it goes on in the next packet. */
export function targetOf(bytes: Buffer): string | undefined {
  const end = bytes.indexOf(0x20, get.length);
  return end < 0 ? undefined : bytes.toString('latin1', get.length, end);
}

/** Whether these bytes are the head of a request, and nothing else: what came behind it would be lost. */
export function isHead(bytes: Buffer): boolean {
  return bytes.indexOf(headEnd) === bytes.length - headEnd.length;
}
