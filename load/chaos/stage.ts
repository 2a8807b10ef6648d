import type { Feed } from '../lib/feed.js';
import { RoamingCrowd, startNode } from '../lib/roaming.js';
import type { Service } from '../lib/service.js';
import { Ledger } from './ledger.js';
import { PresenceCheck } from './presence-check.js';
import { Repeater } from './repeater.js';

/** Something that goes wrong, or right again, and when: in parts of a round. */
export type Disaster = readonly [share: number, what: string, happen: () => unknown];

interface StageOptions {
  readonly nodes: number;
  readonly adapter: string;
  /** Milliseconds there and back between nodes and their engine. */
  readonly roundTripMs: number;
  /** Whether servers of Redis take messages only while they have a replica. */
  readonly minReplicas: boolean | undefined;
  /** Whether each message has a key, and is published again until it is acknowledged. */
  readonly keys: boolean | undefined;
  /** How many messages are published; undefined for as many as time allows. */
  readonly messages: number | undefined;
}

/** History that keeps all that is published. */
const wholeHistory = {
  FEED_HISTORY_LENGTH: '100000',
  FEED_HISTORY_BYTES: '100000000',
  FEED_HISTORY_TOTAL_BYTES: '1000000000',
  FEED_HISTORY_TTL_MS: '3600000',
};

/** What nodes share, and what goes wrong with it. */
export interface Engine {
  /** Its URL, as a node has it. */
  urlOf(node: number): string;
  readonly disasters: readonly Disaster[];
  /** Whether it forgets what it has acknowledged: followers are then told so, by a `reset`. Default: false, and each reset is a fault. */
  readonly forgets?: boolean;
  /** Whether it parts nodes from each other and serves both sides, which tell on their own. Default: false, and no feed is told twice in a row. */
  readonly parts?: boolean;
  /** The longest that a message may take to be acknowledged or refused, in milliseconds. Default: no bound, since the machine may be busy. */
  readonly mostAnswerMs?: number;
}

/** Followers whose ledgers tell losses that a reset has told from silent ones. */
class Audience extends RoamingCrowd {
  readonly ledgers: Ledger[] = [];

  override track(feed: Feed): Ledger {
    const ledger = new Ledger(feed, this.faults);
    this.ledgers.push(ledger);
    return ledger;
  }
}

/** The nodes and their followers, whatever they share. */
export class Stage {
  readonly crowd = new Audience([]);
  readonly presence = new PresenceCheck();
  /** What publishes messages with keys; undefined where they have none. */
  readonly repeater: Repeater | undefined;
  /** The longest that a message took to be acknowledged or refused, in milliseconds. */
  slowestAnswerMs = 0;
  #urlOf: Engine['urlOf'] = () => '';
  readonly #starting: Promise<void>[] = [];

  constructor(readonly options: StageOptions) {
    this.repeater = options.keys ? new Repeater(this.crowd) : undefined;
  }

  /** Publishes through any node; resolves with whether it was acknowledged. */
  readonly publish = async (feed: Feed, text: string): Promise<boolean> => {
    const begunAt = performance.now();
    const isAcknowledged = await (this.repeater ?? this.crowd).publish(feed, text);
    this.slowestAnswerMs = Math.max(this.slowestAnswerMs, performance.now() - begunAt);
    return isAcknowledged;
  };

  async start({ urlOf }: Engine): Promise<void> {
    this.#urlOf = urlOf;
    await this.presence.listen();
    for (let n = 1; n <= this.options.nodes; n += 1) await this.#addNode(n);
  }

  /** Resolves once all nodes that are to start have started. */
  async areStarted(): Promise<void> {
    await Promise.all(this.#starting);
  }

  async #addNode(n: number): Promise<void> {
    const presence = { FEED_PRESENCE: 'on', FEED_WEBHOOK_URL: this.presence.url, FEED_WEBHOOK_SECRET: 'chaos' };
    const { adapter, messages } = this.options;
    const history = messages === undefined ? {} : wholeHistory;
    const env = { FEED_ADAPTER: adapter, FEED_BROKER: this.#urlOf(n), FEED_BUFFER_BYTES: '65536', ...presence, ...history };
    this.crowd.nodes.push(await startNode(`${n}`, env));
  }

  severs(at: number, share: number): Disaster {
    const what = share === 1 ? 'all connections are cut' : `${share * 100} % of the connections are cut`;
    return [at, what, () => this.crowd.sever(share)];
  }

  /** The last node is killed and started again. */
  restartsNode(killedAt: number, startedAt: number): Disaster[] {
    const { nodes } = this.options;
    return [
      [killedAt, `node ${nodes} is killed`, () => this.crowd.nodes.pop()?.stop('SIGKILL')],
      [startedAt, `node ${nodes} is started again`, () => this.#beginNode(nodes)],
    ];
  }

  /** A node is halted, as by a debugger or a machine that has too much to do, and goes on as if nothing had been. */
  haltsNode(n: number, haltedAt: number, resumedAt: number): Disaster[] {
    let halted: Service | undefined;
    return [
      [
        haltedAt,
        `node ${n} is halted`,
        () => {
          halted = this.crowd.nodes[n - 1];
          halted?.child.kill('SIGSTOP');
        },
      ],
      [resumedAt, `node ${n} goes on`, () => halted?.child.kill('SIGCONT')],
    ];
  }

  /** Starts a node; what else goes wrong does not wait for that. */
  #beginNode(n: number): void {
    const starting = this.#addNode(n);
    starting.catch(() => {}); // told in the end
    this.#starting.push(starting);
  }
}
