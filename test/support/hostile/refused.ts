import { expectNoEscapes } from '../escapes.js';
import { type Platform, platforms, publishKey, type Served } from '../serve.js';
import { type Answer, answersIn, exchange, forEach } from './answers.js';
import { endAttack, injected, Neighbour, serveAttacked } from './attacked.js';
import { malformedHeads, malformedIds, seed } from './malformed.js';

const asPublisher = `Authorization: Bearer ${publishKey}\r\nContent-Type: text/plain\r\n`;

/** Sends so many malformed requests to an application on each platform; `HOSTILE_SEED` has them repeated. */
export function describeRefusals(heads: number, ids: number): void {
  expectNoEscapes(endAttack);
  describe.each(platforms)(`malformed requests on %s (HOSTILE_SEED=${seed})`, (platform) => refuses(platform, heads, ids));
}

function refuses(platform: Platform, heads: number, ids: number): void {
  let served: Served;

  beforeEach(async () => {
    served = await serveAttacked(platform);
  });

  /** Refuses each with a 4xx or closes, and serves a neighbour meanwhile and afterwards. */
  const expectRefused = async (attack: (expectRefusal: (answers: Answer[], sent: unknown) => void) => Promise<void>) => {
    const neighbour = await Neighbour.of(served);
    let isOver = false;
    const over = attack((answers, sent) => {
      const isRefusal = answers.every(({ status, head, body }) => status >= 400 && status < 500 && !injected.test(head + body));
      if (!isRefusal) throw new Error(JSON.stringify({ sent, answers }));
    }).finally(() => {
      isOver = true;
    });
    while (!isOver) await neighbour.isServed();
    await over;
    await neighbour.isServed();
    neighbour.expectAll();
    expect(served.feeds.counts()).toMatchObject({ open: 1, opened: 1, feeds: 1 });
  };

  it(`the server rejects ${heads} malformed heads, each on a connection of its own`, async () => {
    await expectRefused((expectRefusal) =>
      forEach(malformedHeads(seed, heads), 64, async (head) => expectRefusal(answersIn(await exchange(served.port, head)), head)),
    );
  });

  it(`the server rejects ${ids} malformed ids in paths, queries and messages, 70 on a connection`, async () => {
    const perConnection = 70;
    const requests = malformedIds(seed, ids).map((id, n) => {
      const isLast = n % perConnection === perConnection - 1;
      const head = `HTTP/1.1\r\nHost: test\r\n${isLast ? 'Connection: close\r\n' : ''}`;
      if (n % 3 === 0) return `GET /feeds/${id} ${head}\r\n`;
      if (n % 3 === 1) return `GET /feeds?id=calm&id=${id} ${head}\r\n`;
      return `POST /feeds/${id} ${head}${asPublisher}Content-Length: 5\r\n\r\nhello`;
    });
    const batches = Array.from({ length: requests.length / perConnection }, (_, n) =>
      requests.slice(n * perConnection, (n + 1) * perConnection),
    );
    await expectRefused((expectRefusal) =>
      forEach(batches, 8, async (batch) => {
        const answers = answersIn(await exchange(served.port, batch.join('')));
        expect(answers).toHaveLength(batch.length);
        for (const [n, answer] of answers.entries()) expectRefusal([answer], batch[n]);
      }),
    );
  });
}
