import { setTimeout as sleep } from 'node:timers/promises';
import type { Broker } from '../broker/broker.js';
import { FeedException } from '../errors/feed-exception.js';
import { backoff } from '../time/backoff.js';

/** The delays before what is stored is read again, in milliseconds. */
const retryDelays = { minMs: 100, maxMs: 2000 };
/** How many revocations make a look for those that are over, each time that so many more have come. */
const sweepStep = 1000;

/** What is revoked: all tokens of a subject, or one token by its id, the claim `jti`. */
export interface Revoked {
  readonly subject?: string | undefined;
  readonly jti?: string | undefined;
}

/** A revocation that holds now. */
export interface Revocation extends Revoked {
  /** Until when it holds, in milliseconds since 1970. */
  readonly until: number;
}

/** The tokens that this node refuses. The broker remembers them: a node that starts reads them before it accepts a token. */
export class Revocations {
  private readonly untils = new Map<string, number>();
  private sweepAt = sweepStep;
  /** Whether this node may have missed one that is stored. */
  private isStale = true;
  private reading: Promise<void> | undefined = undefined;
  private readonly stopping = new AbortController();

  /** @param onFailed told when they cannot be read, once until they can */
  constructor(
    private readonly broker: Broker,
    private readonly onFailed: (error: unknown) => void,
  ) {}

  /**
   * @throws FeedException FEED_REVOKED (403) where the token, or its subject, is revoked; FEED_BROKER (503) for any token until this node
   * has read what is stored
   */
  check({ subject, tokenId }: { readonly subject?: string | undefined; readonly tokenId?: string | undefined }): void {
    if (subject === undefined && tokenId === undefined) return;
    if (this.isStale) throw new FeedException('FEED_BROKER', { message: 'The revoked tokens are not known yet.' });
    if (this.untils.size === 0) return;
    if ((subject !== undefined && this.holds(nameOf({ subject }))) || (tokenId !== undefined && this.holds(nameOf({ jti: tokenId })))) {
      throw new FeedException('FEED_REVOKED');
    }
  }

  /** Refuses tokens from now on, on this node. */
  add(revoked: Revoked, until: number): void {
    this.note(nameOf(revoked), until);
  }

  /**
   * Has all nodes that start refuse tokens, until a time.
   *
   * @throws what the broker fails with
   */
  store(revoked: Revoked, until: number): Promise<void> {
    return this.broker.remember(nameOf(revoked), until);
  }

  /** Those that hold now, the one that ends last first. */
  all(): Revocation[] {
    this.sweep();
    const all = [...this.untils].map(([name, until]) => ({ ...revokedBy(name), until }));
    return all.sort((a, b) => b.until - a.until);
  }

  /** Reads what is stored, and tries again until that succeeds. Until it has succeeded once, tokens are refused. */
  read(): Promise<void> {
    this.reading ??= this.readOn().finally(() => {
      this.reading = undefined;
    });
    return this.reading;
  }

  stop(): void {
    this.stopping.abort();
  }

  private async readOn(): Promise<void> {
    const { signal } = this.stopping;
    for (let attempt = 0; !signal.aborted; attempt += 1) {
      try {
        const stored = await this.broker.remembered();
        for (const [name, until] of stored) this.note(name, until);
        this.isStale = false;
        // A server that came back without its last writes is told again.
        for (const [name, until] of this.untils) if ((stored.get(name) ?? 0) < until) await this.broker.remember(name, until);
        return;
      } catch (error) {
        if (attempt === 0) this.onFailed(error);
        await sleep(backoff(attempt, retryDelays), undefined, { ref: false, signal }).catch(() => {});
      }
    }
  }

  private note(name: string, until: number): void {
    if (until <= Date.now() || (this.untils.get(name) ?? 0) >= until) return;
    this.untils.set(name, until);
    if (this.untils.size >= this.sweepAt) this.sweep();
  }

  private holds(name: string): boolean {
    const until = this.untils.get(name);
    if (until === undefined) return false;
    if (until > Date.now()) return true;
    this.untils.delete(name);
    return false;
  }

  private sweep(): void {
    const now = Date.now();
    for (const [name, until] of this.untils) if (until <= now) this.untils.delete(name);
    this.sweepAt = this.untils.size + sweepStep;
  }
}

function nameOf({ subject, jti }: Revoked): string {
  return subject === undefined ? `jti:${jti}` : `sub:${subject}`;
}

function revokedBy(name: string): Revoked {
  return name.startsWith('sub:') ? { subject: name.slice(4) } : { jti: name.slice(4) };
}
