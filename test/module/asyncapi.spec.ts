import { toStandardJsonSchema } from '@valibot/to-json-schema';
import { type } from 'arktype';
import * as v from 'valibot';
import * as z from 'zod';
import { type AsyncApiOptions, asyncApiDocument, defineFeed } from '../../src/index.js';
import { ajv, asyncApiFaults } from '../support/asyncapi.js';

const tree: z.ZodType = z.object({ name: z.string(), children: z.array(z.lazy(() => tree)) });
const prices = defineFeed('prices/:symbol', {
  price: z.object({ price: z.number().positive() }),
  halt: type({ reason: "'news' | 'other'" }),
  'note/~ü': toStandardJsonSchema(v.string()),
});
const news = defineFeed('news', { message: tree, unknown: v.object({}), made: z.string().transform(Number) });
const info = { title: 'Prices', version: '1.0.0' };
const options: AsyncApiOptions = { info, url: 'https://api.example.com:8443/v1/', path: '/feeds/', feeds: [prices, news] };

/** What a reference in a document leads to. */
function resolve(document: object, $ref: string): unknown {
  const keys = $ref.split('/').slice(1);
  const keyOf = (part: string) => decodeURIComponent(part).replaceAll('~1', '/').replaceAll('~0', '~');
  return keys.reduce<unknown>((value, part) => (value as Record<string, unknown> | undefined)?.[keyOf(part)], document);
}

function referencesIn(value: unknown): string[] {
  if (typeof value !== 'object' || value === null) return [];
  const { $ref } = value as { $ref?: string };
  return [...($ref === undefined ? [] : [$ref]), ...Object.values(value).flatMap(referencesIn)];
}

describe('asyncApiDocument()', () => {
  const document = asyncApiDocument(options);

  it('fits the schema of AsyncAPI 3.0, and its references lead somewhere', () => {
    expect(asyncApiFaults(document)).toEqual([]);
    const references = referencesIn(document);
    expect(references.length).toBeGreaterThan(10);
    for (const $ref of references) expect([$ref, typeof resolve(document, $ref)]).toEqual([$ref, 'object']);
  });

  it('has a channel for each definition, with the data of its messages', () => {
    expect(document).toMatchObject({
      asyncapi: '3.0.0',
      info,
      servers: { default: { host: 'api.example.com:8443', protocol: 'https', pathname: '/v1' } },
      channels: {
        'prices-symbol': {
          title: 'prices/:symbol',
          address: '/feeds/prices/{symbol}',
          parameters: { symbol: {} },
          messages: {
            price: {
              name: 'price',
              contentType: 'application/json',
              payload: { type: 'object', properties: { price: { type: 'number', exclusiveMinimum: 0 } }, required: ['price'] },
            },
            halt: { payload: { properties: { reason: { enum: ['news', 'other'] } } } },
            'note/~ü': { contentType: 'text/plain', payload: { type: 'string' } },
            end: { $ref: '#/components/messages/end' },
            reset: { $ref: '#/components/messages/reset' },
          },
        },
        news: {
          address: '/feeds/news',
          messages: { message: { summary: 'A message without a type' }, unknown: { payload: {} }, made: { payload: {} } },
        },
      },
      operations: {
        'follow-prices-symbol': { action: 'send', bindings: { http: { method: 'GET' } } },
        'publish-prices-symbol': { action: 'receive', bindings: { http: { method: 'POST' } } },
      },
    });
    expect(JSON.stringify(document)).not.toContain('$schema');
    expect(document.channels.news).not.toHaveProperty('parameters');
    const { messages } = document.operations['publish-prices-symbol'] as { messages: object[] };
    expect(messages).toHaveLength(3);
  });

  it('keeps a schema that refers to itself', () => {
    const { payload } = resolve(document, '#/channels/news/messages/message') as { payload: object };
    const [$ref] = referencesIn(payload);
    expect($ref).toMatch('#/channels/news/messages/message/payload');
    const check = ajv.compile({ ...JSON.parse(JSON.stringify(document)), $ref: '#/channels/news/messages/message/payload' });
    expect(check({ name: 'a', children: [{ name: 'b', children: [] }] })).toBe(true);
    expect(check({ name: 'a', children: [{ name: 1, children: [] }] })).toBe(false);
  });

  it('is valid without a server, without feeds, and for patterns that differ in their characters alone', () => {
    const others = ['a/:b', 'a/b', 'a.b', '~'].map((pattern) => defineFeed(pattern, { message: z.string() }));
    for (const feeds of [[], others]) {
      const made = asyncApiDocument({ info, path: 'feeds', feeds });
      expect(asyncApiFaults(made)).toEqual([]);
      expect(made).not.toHaveProperty('servers');
      expect(Object.keys(made.channels)).toEqual(feeds.length > 0 ? ['a-b', 'a-b-2', 'a-b-3', 'feed'] : []);
    }
    expect(() => asyncApiDocument({ ...options, url: 'nowhere' })).toThrow('Invalid URL');
  });
});
