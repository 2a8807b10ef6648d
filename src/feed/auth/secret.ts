import { timingSafeEqual } from 'node:crypto';

/** Whether a text is one of some secrets, each of which it is compared with. */
export function isOneOf(secrets: readonly Secret[], candidate: string): boolean {
  return secrets.filter((secret) => secret.matches(candidate)).length > 0;
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
