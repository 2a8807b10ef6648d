import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import type { Feed } from '../lib/feed.js';
import type { RoamingCrowd } from '../lib/roaming.js';
import { atEnd } from '../lib/server.js';
import { sleep } from '../lib/waits.js';

/** How long nodes have to come to one result, in milliseconds. */
const calmMs = 15_000;

/** What the webhooks of the nodes send. */
interface Event {
  readonly id: string;
  readonly type: string;
  readonly time: number;
  readonly feed?: string;
  readonly reason?: string;
  readonly process?: string;
  readonly connection?: string;
}

/** What is wrong with what nodes know of who is there, and with what they have told. */
export interface PresenceFaults {
  /** Feeds of which some node counts other followers than there are. */
  readonly miscounted: number;
  /** Feeds that were told as occupied, or vacated, twice in a row. */
  readonly repeated: number;
  /** Feeds that are occupied, and told as vacated, or the other way round. */
  readonly wrong: number;
  /** Connections that were told as lost twice without having been there again. */
  readonly lostTwice: number;
  readonly told: number;
  readonly lost: number;
  /** Events that came again. */
  readonly again: number;
}

/** The id of an event of a feed has a UUID, the number of the telling, and the feed. */
const numberOf = (id: string) => Number(id.slice(37).split('-')[0]);

/** Takes what the nodes' webhooks send, and compares what nodes say of presence with what the clients know. */
export class PresenceCheck {
  readonly #events = new Map<string, Event>();
  #again = 0;
  url = '';

  async listen(): Promise<void> {
    const server = createServer(async (request, response) => {
      const { events } = JSON.parse(await text(request)) as { events: Event[] };
      for (const event of events) {
        if (this.#events.has(event.id)) this.#again += 1;
        else this.#events.set(event.id, event);
      }
      response.writeHead(204).end();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    atEnd(() => server.close().closeAllConnections());
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  }

  /** Waits for calm, and looks at all nodes. */
  async judge(crowd: RoamingCrowd, feeds: readonly Feed[]): Promise<PresenceFaults> {
    await sleep(calmMs);
    let miscounted = 0;
    let wrong = 0;
    let repeated = 0;
    for (const { name } of feeds) {
      const followers = crowd.followersOf(name);
      const counts = await Promise.all(
        crowd.nodes.map((node) => node.ask(`/health/connections?scope=cluster&id=${encodeURIComponent(name)}`)),
      );
      const isRight = counts.every(({ text: body }) => {
        const { open, missing } = JSON.parse(body);
        return open === followers && missing.length === 0;
      });
      if (!isRight) miscounted += 1;
      const told = this.#toldOf(name);
      if (told.some((type, n) => type !== (n % 2 === 0 ? 'occupied' : 'vacated'))) repeated += 1;
      if ((told.at(-1) ?? 'vacated') !== (followers > 0 ? 'occupied' : 'vacated')) wrong += 1;
    }
    const events = [...this.#events.values()];
    return {
      ...{ miscounted, repeated, wrong, lostTwice: this.#lostTwice(events), again: this.#again },
      told: events.filter(({ type }) => type === 'occupied' || type === 'vacated').length,
      lost: events.filter(({ reason }) => reason === 'lost').length,
    };
  }

  /** What was told of a feed, in the order of the tellings. */
  #toldOf(feed: string): string[] {
    const events = [...this.#events.values()].filter((event) => event.feed === feed && /^(occupied|vacated)$/.test(event.type));
    events.sort((one, other) => one.time - other.time || numberOf(one.id) - numberOf(other.id));
    return events.map(({ type }) => type);
  }

  #lostTwice(events: readonly Event[]): number {
    const lost = new Map<string, number>();
    const opened = new Map<string, number>();
    const count = (counts: Map<string, number>, key: string) => counts.set(key, (counts.get(key) ?? 0) + 1);
    for (const { reason, process, connection, type } of events) {
      if (reason === 'lost') count(lost, `${process} ${connection}`);
      else if (type === 'opened') count(opened, `${process} ${connection}`);
    }
    // That it was opened may be unheard: its node was killed before its webhook had sent it.
    return [...lost].filter(([key, times]) => times > Math.max(1, opened.get(key) ?? 0)).length;
  }
}
