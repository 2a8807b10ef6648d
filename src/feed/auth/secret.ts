import { createHash, timingSafeEqual } from 'node:crypto';

/** A secret that requests are compared with. Digests are compared, which have one length, so that the time taken reveals nothing of the secret. */
export class Secret {
  private readonly digest: Buffer;

  constructor(value: string) {
    this.digest = digestOf(value);
  }

  matches(candidate: string): boolean {
    return timingSafeEqual(digestOf(candidate), this.digest);
  }
}

function digestOf(value: string): Buffer {
  return createHash('sha256').update(value).digest();
}
