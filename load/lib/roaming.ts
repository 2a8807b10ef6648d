import type { Feed } from './feed.js';
import { Crowd, Follower } from './follower.js';
import { Service } from './service.js';
import { atRate, until } from './waits.js';

/** How long a follower waits before it connects again, in milliseconds, at the most. */
const pauseMs = 1000;

/** The built service as one of several processes. */
export function startNode(name: string, env: NodeJS.ProcessEnv): Promise<Service> {
  return new Service({ FEED_NODE_NAME: name, FEED_HEARTBEAT_MS: '2000', ...env }).listening();
}

/** Follows a feed through any node, and comes back to another one with the id of its last message whenever its connection ends. */
class Roamer extends Follower<RoamingCrowd> {
  #isGone = false;

  constructor(crowd: RoamingCrowd, feed: Feed) {
    super(crowd, [feed], 'sse');
    this.connect(crowd.anyNode().url);
  }

  /** It comes back for what it has not got. */
  protected override failed(): void {
    this.crowd.failed += 1;
  }

  protected override rejected(): void {
    this.crowd.rejected += 1;
    this.connection.destroy();
  }

  /** Leaves for good. */
  leave(): void {
    this.#isGone = true;
    this.connection.leave('fin');
  }

  protected override ended(): void {
    const { crowd } = this;
    if (this.#isGone) return;
    crowd.reconnects += 1;
    // Without a node to go to, it stays away.
    setTimeout(() => crowd.nodes.length > 0 && !this.#isGone && this.connect(crowd.anyNode().url), this.retryMs ?? Math.random() * pauseMs);
  }
}

/** Followers of several nodes. */
export class RoamingCrowd extends Crowd {
  reconnects = 0;
  rejected = 0;
  /** Times that one was told in band that history cannot be read: the engine had become unavailable meanwhile. */
  failed = 0;
  #roamers: Roamer[] = [];

  /** @param nodes those that connections and publishes go to */
  constructor(public nodes: Service[]) {
    super();
  }

  /** Has so many follow feeds, each one of them; resolves once all are connected. */
  async gather(count: number, feeds: readonly Feed[], perSecond: number): Promise<void> {
    await atRate(count, perSecond, (n) => this.#roamers.push(new Roamer(this, feeds[n % feeds.length])));
    if (!(await this.areAllOpen(60_000))) throw new Error(`only ${this.open} of ${count} followers could connect`);
  }

  /** Has all followers of some feeds leave for good. */
  dismiss(feeds: readonly Feed[]): void {
    const isMeant = (roamer: Roamer) => roamer.feeds.some((feed) => feeds.includes(feed));
    for (const roamer of this.#roamers) if (isMeant(roamer)) roamer.leave();
    this.#roamers = this.#roamers.filter((roamer) => !isMeant(roamer));
  }

  /** How many are connected that follow a feed. */
  followersOf(name: string): number {
    return this.#roamers.filter(({ feeds, isOpen }) => isOpen && feeds[0]?.name === name).length;
  }

  anyNode(): Service {
    return this.nodes[Math.floor(Math.random() * this.nodes.length)];
  }

  /** Publishes through any node; resolves with whether it was acknowledged. */
  readonly publish = async ({ name }: Feed, text: string, key?: string): Promise<boolean> =>
    !(await this.anyNode().publish(name, text, key));

  /** Whether all are connected, within so many milliseconds. */
  areAllOpen(ms: number): Promise<boolean> {
    return until(() => this.open === this.#roamers.length, ms);
  }

  /** Waits until all have what they must get, and counts what some have not got by then as lost. */
  async settle(): Promise<void> {
    const missing = () => this.#roamers.reduce((sum, roamer) => sum + roamer.missing, 0);
    await until(() => missing() === 0, 30_000);
    this.faults.add('lost', missing());
  }

  /** Cuts the connections of a part of them, as a network does. */
  sever(share: number): void {
    for (const { connection } of this.#roamers) if (Math.random() < share) connection.destroy();
  }

  override leave(): void {
    this.nodes = [];
    super.leave();
  }
}
