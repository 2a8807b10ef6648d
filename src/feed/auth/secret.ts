import { createHash, timingSafeEqual } from 'node:crypto';

/** A secret that candidates are compared with, in a time that says nothing about it. */
export class Secret {
  private readonly digest: Buffer;

  constructor(value: string) {
    this.digest = digestOf(value);
  }

  matches(candidate: string): boolean {
    return timingSafeEqual(digestOf(candidate), this.digest);
  }
}

/** All digests have one length: the length of a secret stays secret, too. */
function digestOf(value: string): Buffer {
  return createHash('sha256').update(value).digest();
}
