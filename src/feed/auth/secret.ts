import { timingSafeEqual } from 'node:crypto';

/** Which of some secrets a text is, by its index; -1 for none. It is compared with each, so that the time reveals nothing. */
export function indexOfSecret(secrets: readonly Secret[], candidate: string): number {
  return secrets.map((secret) => secret.matches(candidate)).indexOf(true);
}

/** A secret that requests are compared with, in a time that reveals nothing of it. */
export class Secret {
  private readonly bytes: Buffer;

  constructor(value: string) {
    this.bytes = Buffer.from(value);
  }

  /** As many bytes are compared as the secret has, whatever the candidate has. */
  matches(candidate: string): boolean {
    const { length } = this.bytes;
    const start = Buffer.alloc(length);
    start.write(candidate);
    return timingSafeEqual(start, this.bytes) && Buffer.byteLength(candidate) === length;
  }
}
