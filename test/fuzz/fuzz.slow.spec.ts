import { existsSync, writeSync } from 'node:fs';
import { Controller, Param } from '@nestjs/common';
import fc from 'fast-check';
import { concatMap, from, of } from 'rxjs';
import { Feed } from '../../src/index.js';
import { type EngineKind, missing } from '../../tools/engines.mjs';
import { expectNoEscapes } from '../support/escapes.js';
import { EventFollower, LineFollower, type LineMessage } from '../support/fuzz/followers.js';
import { attackerOf, type Forgery, forgeries } from '../support/fuzz/forgeries.js';
import { checkTurn, fuzz, fuzzSync, patienceMs, report, reportOf, seed } from '../support/fuzz/fuzz.js';
import { dataOf, fieldsOf, isExpressible, item, linesOf, message, type Published, textOf } from '../support/fuzz/messages.js';
import { type Conversation, conversation } from '../support/fuzz/requests.js';
import { broken, bytesOf, outcomeOf, wellFormed } from '../support/fuzz/responses.js';
import { talk } from '../support/fuzz/talk.js';
import { inField, type Token, tokens } from '../support/fuzz/tokens.js';
import { Watched } from '../support/fuzz/watched.js';
import { post, publishKey } from '../support/post.js';
import { Run } from '../support/run.js';
import { closeAll, platforms, serveFeeds, until } from '../support/serve.js';
import { jwtSecret } from '../support/tokens.js';

/** Only Linux says how long a thread has run. */
const suite = existsSync('/proc/self/schedstat') ? describe : describe.skip;

suite(`fuzzing (FUZZ_SEED=${seed})`, () => {
  expectNoEscapes();
  afterEach(async () => {
    Run.endAll();
    await closeAll();
  });
  /** What a node may keep of the stream of NATS. */
  const historyBytes = 2 ** 26;

  afterAll(() => {
    writeSync(2, `${reportOf()}\n`);
  });

  /** Fails where one of the answers is an error of the server. */
  const converseWith =
    ({ port }: Watched) =>
    async ({ pieces, hasHead }: Conversation) => {
      const wrong = (await talk(port, pieces, hasHead)).find(({ status }) => status >= 500);
      if (wrong) throw new Error(JSON.stringify(wrong));
    };

  const programs = [
    ['the service', 'dist/main.js'],
    ['an application', 'test/support/fuzz/application.mjs'],
  ] as const;

  describe.each(platforms)('requests on %s', (platform) => {
    it.each(programs)(
      '%s answers below 500, or closes',
      async (name, program) => {
        const watched = await Watched.start(program, { FEED_ADAPTER: platform, FEED_PUBLISH_KEY: publishKey });
        await watched.served.status('/docs-json'); // makes the document, once
        await fuzz(100, conversation, converseWith(watched));
        await watched.begin();
        const count = await fuzz(400, conversation, converseWith(watched));
        const held = await watched.end();
        report(`requests, ${name} on ${platform}: ${count}, ${held}`);
        checkTurn(name, watched.longestTurnMs);
      },
      patienceMs,
    );
  });

  it.each(platforms)(
    'tokens: the service on %s opens a feed for those that are valid alone',
    async (platform) => {
      const watched = await Watched.start('dist/main.js', { FEED_ADAPTER: platform, FEED_JWT_SECRET: jwtSecret });
      const request = fc.tuple(tokens(jwtSecret), fc.constantFrom('header', 'cookie', 'query'), fc.constantFrom('GET', 'POST'));
      const check = async ([{ token, isSigned }, place, method]: [Token, string, string]) => {
        const inQuery = place === 'query' ? `?token=${encodeURIComponent(token.toWellFormed())}` : '';
        const field = place === 'header' ? `Authorization: Bearer ${inField(token)}` : `Cookie: feed_token=${inField(token)}`;
        const head = `${method} /test/a${inQuery} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n${inQuery ? '' : `${field}\r\n`}`;
        const answers = await talk(watched.port, [`${head}Content-Type: text/plain\r\nContent-Length: 1\r\n\r\nx`], false, true);
        const allowed = isSigned ? [200, 201, 401, 403, 431] : [401, 431];
        if (answers.length !== 1 || !allowed.includes(answers[0]?.status as number)) throw new Error(JSON.stringify(answers));
      };
      await fuzz(100, request, check);
      await watched.begin();
      const count = await fuzz(400, request, check);
      const held = await watched.end();
      report(`tokens on ${platform}: ${count}, ${held}`);
      checkTurn('tokens', watched.longestTurnMs);
    },
    patienceMs,
  );

  it.each([
    ['express', true],
    ['fastify', false],
  ] as const)(
    'frames on %s, handover %s: what is published comes out of each format as it went in, or is refused',
    async (platform, handover) => {
      const served = await serveFeeds(platform, { handover, bufferBytes: 2 ** 24 });
      const events = await new EventFollower().follow(`${served.url}/feeds/a?format=sse`);
      const lines = await new LineFollower().follow(`${served.url}/feeds/a?format=ndjson`);
      const wanted: LineMessage[] = [];
      const texts = new Map<string | undefined, string>();
      const publish = async ({ data, type }: Published) => {
        try {
          const { id, time } = await served.feeds.publish('a', data, type === undefined ? {} : { type });
          wanted.push({ id: id as string, feed: 'a', ...(type !== undefined && { type }), time, data: dataOf(data) });
          texts.set(id as string, textOf(data));
        } catch (error) {
          expect(error).toMatchObject({ code: 'FEED_MESSAGE' });
        }
      };
      const count = await fuzz(2000, message, publish, async () => {
        const all = wanted.splice(0);
        await until(() => Boolean(events.failure || lines.failure) || (events.count >= all.length && lines.count >= all.length));
        const byId = (list: LineMessage[]) => new Map(list.map((line) => [line.id, line]));
        expect(byId(lines.take())).toEqual(byId(all));
        expect(new Map(events.take().map((event) => [event.lastEventId, event]))).toEqual(
          new Map(all.map(({ id, type = 'message' }) => [id, { type, data: texts.get(id), lastEventId: id }])),
        );
        expect([events.failure, lines.failure, events.retries]).toEqual([undefined, undefined, []]);
      });
      events.leave();
      lines.leave();
      await until(() => served.feeds.counts().open === 0);
      report(`frames of messages on ${platform}: ${count}`);
    },
    patienceMs,
  );

  it.each(platforms)(
    'frames of a source on %s: an item comes out of each format as one, or ends its connection',
    async (platform) => {
      const items: unknown[] = [];
      /** Have the source of an item begin: what fails before the head is answered with an error. */
      const begins = new Map<number, () => void>();
      @Controller()
      class Sources {
        @Feed('own/:n', { feed: () => [] })
        own(@Param('n') n: string) {
          const begun = new Promise<void>((resolve) => {
            begins.set(Number(n), resolve);
          });
          return from(begun).pipe(concatMap(() => of({ data: 'first' }, items[Number(n)], { data: 'last' })));
        }
      }
      const served = await serveFeeds(platform, {}, { controllers: [Sources] });
      const allOf = async <T extends EventFollower | LineFollower>(follower: T, n: number, format: string) => {
        await follower.follow(`${served.url}/own/${n}?format=${format}`);
        begins.get(n)?.();
        await until(() => follower.failure !== undefined);
        return follower.take() as ReturnType<T['take']>;
      };
      const count = await fuzz(200, item, async (value) => {
        const n = items.push(value) - 1;
        const fields = fieldsOf(value);
        const { data, id = '', type = '' } = fields;
        const events = await allOf(new EventFollower(), n, 'sse');
        const lines = await allOf(new LineFollower(), n, 'ndjson');
        const first = { type: 'message', data: 'first', lastEventId: '' };
        const event = { type: type.toWellFormed() || 'message', data: linesOf(textOf(data)), lastEventId: id.toWellFormed() };
        const last = { type: 'message', data: 'last', lastEventId: id.toWellFormed() };
        const failed = { type: 'error', data: '{"code":"INTERNAL","message":"The source has failed."}', lastEventId: '' };
        expect(events).toEqual(isExpressible(fields) ? [first, event, last] : [first, failed]);
        const line = { ...('id' in fields && { id }), ...('type' in fields && { type }), data: dataOf(data) };
        expect(lines).toEqual([{ data: 'first' }, line, { data: 'last' }]);
      });
      report(`frames of a source on ${platform}: ${count}`);
    },
    patienceMs,
  );

  it(
    'the reader of the load client reads a response whatever its pieces, or says what is wrong with it',
    () => {
      const whole = fuzzSync(3000, wellFormed, (response) => {
        const { status, lines, isChunked, reads } = response;
        expect(outcomeOf(bytesOf(response), reads)).toEqual({ status, lines, hasEnded: isChunked, error: undefined });
      });
      const odd = fuzzSync(3000, broken, ({ bytes, reads }) => {
        expect(outcomeOf(bytes, reads)).toEqual(outcomeOf(bytes, []));
      });
      report(`responses read by the load client: ${whole} + ${odd}`);
    },
    patienceMs,
  );

  describe.each<EngineKind>(['redis', 'nats'])('%s', (kind) => {
    (missing().includes(`${kind}-server`) ? it.skip : it)(
      'what others write there harms no other feed, and no node',
      async () => {
        const attacker = await attackerOf(kind);
        const watched = await Watched.start('dist/main.js', {
          FEED_BROKER: attacker.url,
          FEED_PUBLISH_KEY: publishKey,
          FEED_INTERVAL_MS: '60000',
        });
        const { served } = watched;
        const closing = { connection: 'close' };
        const publish = async (feed: string, text: string) => (await post(`${served.url}/test/${feed}`, text, closing)).status;
        const ask = async (path: string) => {
          const { status, body } = await fetch(served.url + path, { headers: closing });
          await body?.cancel();
          return status;
        };
        await fuzz(
          100,
          forgeries(kind),
          async () => {},
          async () => void (await publish('calm', 'x')),
        );
        await watched.begin();
        const followers = await served.follow('/test/calm?format=ndjson', '/test/a?format=ndjson', '/test/a?format=sse', '/test/a');
        let published = 0;
        const goesOn = async () => {
          published += 1;
          const marker = `message ${published}.`;
          await until(async () => (await publish('calm', marker)) === 201);
          await followers[0]?.sees(marker);
          await until(async () => (await publish('a', 'x')) === 201);
          await until(async () => (await ask('/test/a?since=earliest')) === 200);
          expect(await ask('/health/connections?scope=cluster')).toBe(200);
        };
        const forge = (forgery: Forgery) => attacker.write(forgery);
        const count = await fuzz(300, forgeries(kind), forge, goesOn);
        for (const follower of followers) follower.leave();
        const held = await watched.end(historyBytes);
        report(`what others write to ${kind}: ${count}, ${held}`);
        await attacker.stop();
        checkTurn(kind, watched.longestTurnMs);
      },
      patienceMs,
    );
  });
});
