import { EventEmitter, once } from 'node:events';
import { Controller } from '@nestjs/common';
import { toStandardJsonSchema } from '@valibot/to-json-schema';
import { type } from 'arktype';
import { firstValueFrom, toArray } from 'rxjs';
import * as v from 'valibot';
import * as z from 'zod';
import { defineFeed, Feed, FeedException, type FeedMessageOf, type FeedNotice } from '../../src/index.js';
import { asJson, closeAll, follow, platforms, post, publishKey, type Served, serveFeeds } from '../support/serve.js';

const libraries = {
  valibot: {
    price: v.object({ price: v.pipe(v.number(), v.minValue(0)) }),
    halt: v.pipe(v.string(), v.trim(), v.minLength(1)),
    asJson: toStandardJsonSchema(v.object({ price: v.number() })),
  },
  zod: { price: z.object({ price: z.number().min(0) }), halt: z.string().trim().min(1), asJson: z.object({ price: z.number() }) },
  arktype: {
    price: type({ price: 'number >= 0', '+': 'delete' }),
    halt: type('string.trim').to('string > 0'),
    asJson: type({ price: 'number' }),
  },
};

const definitions = Object.entries(libraries).map(([name, messages]) => ({
  name,
  definition: defineFeed(`${name}/:symbol`, messages as Libraries),
}));
type Libraries = (typeof libraries)['valibot'];

const prices = defineFeed('prices/:symbol', libraries.valibot);
const news = defineFeed('news', { message: z.string().max(5), count: z.coerce.number<string>() });
/** Its checks end in another order than they begin: that of 0 when that of 3 does. */
const checks = new EventEmitter();
const orders = defineFeed('orders/:id', {
  message: z.object({ n: z.number() }).refine(async ({ n }) => {
    if (n === 0) await once(checks, 'three');
    if (n === 3) checks.emit('three');
    return n < 10;
  }, 'there is no such order'),
  note: z.string(),
});
const closing = defineFeed('prices/closing', { message: v.object({ n: v.number() }) });
const feedDefinitions = [prices, news, orders, closing, ...definitions.map(({ definition }) => definition)];

@Controller('stocks')
class PricesController {
  @Feed(':symbol', { feed: ({ params }) => [prices({ symbol: params.symbol ?? '' }), 'news'] })
  follow() {}
}

describe.each(platforms)('defined feeds on %s', (platform) => {
  let served: Served;
  beforeAll(async () => {
    const options = { publishKey, public: true, bodyBytes: 2000, feeds: feedDefinitions };
    served = await serveFeeds(platform, options, { controllers: [PricesController] });
  });
  afterAll(closeAll);

  const to = (path: string, body: unknown, headers: Record<string, string> = asJson) =>
    post(`${served.url}/feeds${path}`, typeof body === 'string' ? body : JSON.stringify(body), headers);
  const answerTo = async (path: string, body: unknown, headers?: Record<string, string>): Promise<Record<string, unknown>> => {
    const response = await to(path, body, headers);
    return { status: response.status, ...((await response.json()) as Record<string, unknown>) };
  };
  const storedOf = async (feed: string) => {
    const { messages } = await served.feeds.history(feed);
    return messages.map(({ type, data }) => (type === undefined ? data : [type, data]));
  };

  describe.each(definitions)('with schemas of $name', ({ name, definition }) => {
    it('stores what the schema makes of a message, over HTTP and in process, by an id and by a ref', async () => {
      const { feeds } = served;
      const feed = definition({ symbol: 'abc' });
      expect(await feeds.publish(feed, 'price', { price: 1 })).toMatchObject({ feed: `${name}/abc`, type: 'price', data: { price: 1 } });
      expect((await feeds.publish(feed, 'halt', ' now ')).data).toBe('now');
      expect((await feeds.publish(`${name}/abc`, ' then ', { type: 'halt' })).data).toBe('then');
      expect((await to(`/${name}/abc?type=price`, { price: 2 })).status).toBe(201);
      expect((await to(`/${name}/abc?type=halt`, ' at last ', {})).status).toBe(201);
      const halts = ['now', 'then', 'at last'].map((text) => ['halt', text]);
      const [now, ...later] = halts;
      expect(await storedOf(`${name}/abc`)).toEqual([['price', { price: 1 }], now, later[0], ['price', { price: 2 }], later[1]]);
    });

    it('refuses what does not fit, says where and why, and stores nothing', async () => {
      const { feeds } = served;
      const answer = await answerTo(`/${name}/bad?type=price`, { price: 'much' });
      expect(answer).toMatchObject({
        status: 400,
        statusCode: 400,
        code: 'FEED_MESSAGE',
        issues: [{ path: ['price'], message: expect.any(String) }],
      });
      const [{ message }] = answer.issues as [{ message: string }];
      expect(answer.message).toBe(`The data of a "price" of the feed "${name}/bad" does not fit: price: ${message}`);
      const attempts = [
        feeds.publish(definition({ symbol: 'bad' }), 'price', { price: -1 }),
        feeds.publish(`${name}/bad`, { price: 'much' }, { type: 'price' }),
        feeds.publish(`${name}/bad`, undefined, { type: 'price' }),
        feeds.publish(`${name}/bad`, new Uint8Array(3), { type: 'halt' }),
      ];
      for (const attempt of attempts) {
        const error = await attempt.catch((thrown: unknown) => thrown as FeedException);
        expect(error).toBeInstanceOf(FeedException);
        expect(error).toMatchObject({ code: 'FEED_MESSAGE', issues: [{ message: expect.any(String) }] });
      }
      expect(await storedOf(`${name}/bad`)).toEqual([]);
    });
  });

  it('refuses a type that the definition does not have, and lists those that it has', async () => {
    const refused = [
      [`/prices/x?type=other`, {}, 'The feed "prices/x" takes messages of these types: "price", "halt", "asJson"; not "other".'],
      [`/prices/x?type=toString`, {}, 'The feed "prices/x" takes messages of these types: "price", "halt", "asJson"; not "toString".'],
      [`/prices/x`, {}, 'The feed "prices/x" takes messages of these types: "price", "halt", "asJson"; not one without.'],
      [`/news?type=price`, {}, 'The feed "news" takes messages of these types: none, "count"; not "price".'],
    ] as const;
    for (const [path, body, message] of refused) {
      const answer = await answerTo(path, body);
      expect(answer).toMatchObject({ status: 400, code: 'FEED_MESSAGE', message });
      expect(answer).not.toHaveProperty('issues');
    }
    await expect(served.feeds.publish('prices/x', 1)).rejects.toMatchObject({ code: 'FEED_MESSAGE' });
  });

  it('takes the type "message" for none', async () => {
    const { feeds } = served;
    expect(await feeds.publish(news(), 'message', 'one')).not.toHaveProperty('type');
    expect(await feeds.publish('news', 'two', { type: 'message' })).not.toHaveProperty('type');
    expect((await to('/news?type=message', 'three', {})).status).toBe(201);
    expect(await storedOf('news')).toEqual(['one', 'two', 'three']);
    await feeds.clear(news());
  });

  it('leaves other feeds, and the feeds below and beside those of a pattern, as they are', async () => {
    for (const feed of ['prices', 'prices/a/b', 'newsroom', 'other']) {
      expect((await to(`/${feed}?type=any`, 'as it is', {})).status).toBe(201);
      expect(await storedOf(feed)).toEqual([['any', 'as it is']]);
    }
  });

  it('checks a feed by the more specific of two definitions', async () => {
    expect((await to('/prices/closing', { n: 7 })).status).toBe(201);
    expect(await answerTo('/prices/closing?type=price', { price: 1 })).toMatchObject({ status: 400 });
    const message = 'The feed "prices/closing" is not checked by "prices/:symbol": give FeedModule this definition in its option "feeds"';
    await expect(served.feeds.publish(prices({ symbol: 'closing' }), 'price', { price: 1 })).rejects.toThrow(new TypeError(message));
    const unknown = defineFeed('strangers', { message: v.string() });
    await expect(served.feeds.publish(unknown(), 'message', 'x')).rejects.toThrow(TypeError);
    await expect(served.feeds.publishMany([unknown()], 'message', 'x')).rejects.toThrow(TypeError);
    const [settled] = await served.feeds.publishAll([{ feed: unknown(), data: 'x' }]);
    expect(settled).toMatchObject({ status: 'rejected', reason: expect.any(Error) });
  });

  it('publishes to many feeds what fits each of them, and else to none', async () => {
    const { feeds } = served;
    const refs = ['m1', 'm2', 'm1'].map((symbol) => prices({ symbol }));
    expect(await feeds.publishMany(refs, 'halt', ' all ')).toMatchObject([
      { feed: 'prices/m1', data: 'all' },
      { feed: 'prices/m2', data: 'all' },
    ]);
    expect((await to('', { feeds: ['prices/m3', 'zod/m3', 'other/m3'], type: 'halt', data: ' x ' })).status).toBe(201);
    expect(await Promise.all(['prices/m3', 'zod/m3', 'other/m3'].map(storedOf))).toEqual([
      [['halt', 'x']],
      [['halt', 'x']],
      [['halt', ' x ']],
    ]);
    const mixed = { feeds: ['other/m4', 'prices/m4'], type: 'halt', data: ' ' };
    expect(await answerTo('', mixed)).toMatchObject({ status: 400, issues: [{ path: [], message: expect.any(String) }] });
    await expect(feeds.publishMany(mixed.feeds, ' ', { type: 'halt' })).rejects.toMatchObject({ code: 'FEED_MESSAGE' });
    expect(await Promise.all(['prices/m4', 'other/m4'].map(storedOf))).toEqual([[], []]);
  });

  it('says of each of several messages what does not fit', async () => {
    const messages = [
      { feed: 'prices/s', type: 'price', data: { price: 1 } },
      { feed: 'prices/s', type: 'price', data: {} },
      { feed: 'prices/s', data: 1 },
      { feed: 'prices/s', type: 'halt', data: 'x' },
    ];
    const results = [
      { feed: 'prices/s', id: expect.any(String) },
      { feed: 'prices/s', statusCode: 400, code: 'FEED_MESSAGE', issues: [{ path: ['price'], message: expect.any(String) }] },
      { feed: 'prices/s', statusCode: 400, code: 'FEED_MESSAGE' },
      { feed: 'prices/s', id: expect.any(String) },
    ];
    expect(await answerTo('', { messages })).toMatchObject({ status: 207, messages: results });
    const settled = await served.feeds.publishAll(messages.map((message) => ({ ...message, feed: prices({ symbol: 's' }) })));
    expect(settled.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'rejected', 'fulfilled']);
    expect(await storedOf('prices/s')).toHaveLength(4);
  });

  it('waits for a schema that checks later, and keeps the order of the messages of a feed', async () => {
    const { feeds } = served;
    const feed = orders({ id: 1 });
    const results = await Promise.allSettled([
      feeds.publish(feed, 'message', { n: 0 }),
      feeds.publish(feed, 'message', { n: 2 }),
      feeds.publish(feed, 'message', { n: 10 }),
      feeds.publish(feed, 'note', 'checked at once'),
      feeds.publishMany([orders({ id: 2 }), feed], 'message', { n: 3 }),
      feeds.publish(orders({ id: 2 }), 'note', 'later'),
    ]);
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected', 'fulfilled', 'fulfilled', 'fulfilled']);
    expect(await storedOf('orders/1')).toEqual([{ n: 0 }, { n: 2 }, ['note', 'checked at once'], { n: 3 }]);
    expect(await storedOf('orders/2')).toEqual([{ n: 3 }, ['note', 'later']]);
    expect(await answerTo('/orders/1', { n: 11 })).toMatchObject({
      status: 400,
      issues: [{ path: [], message: 'there is no such order' }],
    });
    expect((await to('/orders/1', { n: 4 })).status).toBe(201);
  });

  it('bounds what the schema makes of a body, and the issues that an answer lists', async () => {
    const list = Array.from({ length: 100 }, () => 'x');
    expect((await answerTo('/lists/0', list)).status).toBe(201);
    const limited = await serveFeeds(platform, {
      public: true,
      publishKey,
      bodyBytes: 1000,
      feeds: [
        defineFeed('lists/:n', { message: z.array(z.number()) }),
        defineFeed('long', { message: z.string().transform((text) => text.padEnd(1001)) }),
      ],
    });
    const ask = async (path: string, body: unknown) => (await post(`${limited.url}/feeds${path}`, JSON.stringify(body), asJson)).json();
    expect(((await ask('/lists/0', list)) as { issues: object[] }).issues).toHaveLength(20);
    expect(await (await post(`${limited.url}/feeds/long`, 'x')).json()).toMatchObject({ code: 'FEED_BODY_TOO_LARGE', limit: 1000 });
  });

  it('has a run end as failed at an item that does not fit, behind those that do', async () => {
    const { feeds } = served;
    const run = await feeds.run(orders({ id: 'run' }), async function* () {
      yield { n: 1 };
      yield { data: 'note', type: 'note' };
      yield { n: 12 };
      yield { n: 2 };
    });
    expect(await run.whenEnded()).toEqual({ reason: 'failed', message: expect.stringContaining('there is no such order') });
    expect((await storedOf('orders/run')).slice(0, -1)).toEqual([{ n: 1 }, ['note', 'note']]);
    const joined = await feeds.run(
      'prices/run',
      async function* () {
        yield* [' a', 'b '];
      },
      { type: 'halt', coalesceMs: 5 },
    );
    expect(await joined.whenEnded()).toEqual({ reason: 'completed' });
    expect((await storedOf('prices/run'))[0]).toEqual(['halt', 'ab']);
  });

  it('follows feeds of a definition on a route, and answers 400 where the request names none', async () => {
    const { feeds } = served;
    const peer = await follow(served, '/stocks/own?format=ndjson');
    await feeds.publish(prices({ symbol: 'own' }), 'halt', 'now');
    await peer.sees('"type":"halt"');
    const answer = await fetch(`${served.url}/stocks/a%20b`);
    expect(await answer.json()).toMatchObject({
      statusCode: 400,
      code: 'FEED_ID',
      message: 'prices/:symbol needs a :symbol of A-Z a-z 0-9 . _ ~ : @ -, not "a b"',
    });
  });

  it('takes a ref where it takes the id of a feed', async () => {
    const { feeds } = served;
    const ref = prices({ symbol: 'ref' });
    const since = await feeds.position(ref);
    await feeds.publish(ref, 'price', { price: 1 });
    const messages = firstValueFrom(feeds.messages(ref, { since }).pipe(toArray()));
    await feeds.finish(ref, { error: 'over' });
    const read: string[] = (await messages).map((message) => nameOf(message));
    expect(read).toEqual(['price 1', 'end failed']);
    expect((await feeds.history(ref)).messages.map(nameOf)).toEqual(read);
    await feeds.clear(ref);
    expect((await feeds.stop(ref)).data).toEqual({ reason: 'stopped' });
    expect(await feeds.position([ref, 'other'])).toEqual(await feeds.position(ref));
    expect([(await feeds.end(ref)).ended, feeds.subscribers(ref), feeds.count(ref).open]).toEqual([0, 0, 0]);
  });
});

function nameOf(message: FeedMessageOf<typeof prices> | FeedNotice): string {
  switch (message.type) {
    case 'price':
    case 'asJson':
      return `price ${message.data.price}`;
    case 'halt':
      return `halt ${message.data.trim()}`;
    case 'end':
      return `end ${message.data.reason}`;
    case 'reset':
      return `reset ${message.data.oldest}`;
  }
}

it('knows the types of what is published', () => {
  const never = async ({ feeds }: Served) => {
    // @ts-expect-error The definition has no such type.
    await feeds.publish(prices({ symbol: 'a' }), 'other', 1);
    // @ts-expect-error The data does not fit the type.
    await feeds.publish(prices({ symbol: 'a' }), 'price', { price: 'much' });
    // @ts-expect-error The type is missing.
    await feeds.publish(prices({ symbol: 'a' }), { price: 1 });
    // @ts-expect-error The type is a parameter of its own.
    await feeds.publish(prices({ symbol: 'a' }), 'price', { price: 1 }, { type: 'halt' });
    // @ts-expect-error The data does not fit the type.
    await feeds.publishMany([prices({ symbol: 'a' })], 'halt', 1);
    // @ts-expect-error The schema takes text.
    await feeds.publish(news(), 'count', 1);
    const { data } = await feeds.publish(news(), 'count', '1');
    data.toFixed();
    // @ts-expect-error The schema makes a number of it.
    data.trim();
    for (const message of (await feeds.history(prices({ symbol: 'a' }))).messages) {
      // @ts-expect-error Not every message has a price.
      message.data.price.toFixed();
    }
  };
  expect(typeof never).toBe('function');
});

describe('the option feeds', () => {
  afterEach(closeAll);
  const start = (feeds: unknown) => serveFeeds('express', { feeds: feeds as never });
  it.each([
    [{}, 'FeedModule\'s option "feeds" must be an array of definitions, not Object'],
    [['news'], 'FeedModule\'s option "feeds.0" must be what defineFeed() returns, not "news"'],
    [[news, { pattern: 'a', messages: { a: Number } }], 'FeedModule\'s option "feeds.1" must be what defineFeed() returns, not Object'],
    [
      [prices, defineFeed('prices/:name', { message: v.any() })],
      'FeedModule\'s option "feeds" defines the same feeds twice: "prices/:symbol" and "prices/:name"',
    ],
    [[defineFeed('a', { end: v.any() })], 'FeedModule\'s option "feeds" has a type in "a" that cannot be published: "end"'],
    [[defineFeed('a', { 'a\nb': v.any() })], 'FeedModule\'s option "feeds" has a type in "a" that cannot be published: "a\nb"'],
  ])('refuses %j', async (feeds, message) => {
    await expect(start(feeds)).rejects.toMatchObject({ name: 'FeedOptionsError', message });
  });
});
