import { Body, Controller, Param, RequestMethod } from '@nestjs/common';
import { ApiExtraModels, ApiNotFoundResponse, ApiProperty, ApiSchema, DocumentBuilder, SwaggerModule } from '@nestjs/swagger';
import { Validator } from '@seriousme/openapi-schema-validator';
import { type } from 'arktype';
import * as v from 'valibot';
import * as z from 'zod';
import { HealthModule } from '../../src/health/index.js';
import { ApiFeed, type ApiFeedOptions, defineFeed, Feed, withFeedItems } from '../../src/index.js';
import { MetricsModule } from '../../src/metrics/index.js';
import { closeAll, platforms, serveFeeds } from '../support/serve.js';

class Question {
  @ApiProperty()
  text!: string;
}

@Controller('orders')
class OrdersController {
  @Feed(':id')
  follow(@Param('id') _id: string) {}

  @Feed(':id/answer', { method: RequestMethod.POST })
  answer(@Body() _question: Question) {}
}

class Price {
  @ApiProperty()
  price!: number;
}

@ApiSchema({ name: 'Halt' })
class HaltDto {
  @ApiProperty()
  reason!: string;
}

class Other {}

const tree: z.ZodType = z.object({ children: z.array(z.lazy(() => tree)) });
const news = defineFeed('news/:topic', {
  message: z.string(),
  note: z.object({ text: z.string(), kind: z.literal('a') }),
  list: type({ n: 'number > 0' }),
  any: v.object({ a: v.number() }),
  tree,
});

@Controller('prices')
class PricesController {
  @Feed('above')
  @ApiFeed({ messages: { price: Price, halt: HaltDto }, description: 'Prices' })
  @ApiNotFoundResponse({ description: 'There is no such stock' })
  above() {}

  @ApiFeed({ messages: { message: Price } })
  @ApiExtraModels(Other)
  @Feed('below', { method: RequestMethod.POST })
  below() {}

  @ApiFeed({ feed: news })
  @Feed('defined')
  defined() {}

  @ApiFeed({ messages: { count: Number, name: String, is: Boolean } })
  @Feed('plain')
  plain() {}

  @Feed('found')
  @ApiNotFoundResponse()
  found() {}
}

type Content = Record<string, Record<string, unknown>>;

describe.each(platforms)("the application's OpenAPI document on %s", (platform) => {
  afterEach(closeAll);

  it('is valid, has the media types of its own feeds, and leaves out the built-in routes of feeds', async () => {
    const { app } = await serveFeeds(platform, {}, { imports: [HealthModule, MetricsModule], controllers: [OrdersController] });
    const document = SwaggerModule.createDocument(app, new DocumentBuilder().setTitle('t').setVersion('1').build());
    const result = await new Validator().validate(JSON.parse(JSON.stringify(document)));
    expect([result.valid, result.errors]).toEqual([true, undefined]);
    expect(Object.keys(document.paths).filter((path) => path.startsWith('/feeds'))).toEqual([]);
    const followed = document.paths['/orders/{id}']?.get?.responses['200'] as { content: object };
    expect(Object.keys(followed.content)).toEqual(expect.arrayContaining(['text/event-stream', 'application/x-ndjson', 'text/plain']));
    const asked = document.paths['/orders/{id}/answer']?.post;
    expect(Object.keys(asked?.responses ?? {})).toEqual(['200']);
    expect(asked?.requestBody).toMatchObject({ content: { 'application/json': { schema: { $ref: '#/components/schemas/Question' } } } });
    expect(document.paths['/health/connections']?.get?.parameters).toEqual([
      expect.objectContaining({ name: 'id', in: 'query', required: false }),
      expect.objectContaining({ name: 'scope', in: 'query', required: false }),
    ]);
  });

  const documentOf = async (version: string) => {
    const { app } = await serveFeeds(platform, {}, { controllers: [PricesController] });
    const config = new DocumentBuilder().setTitle('t').setVersion('1').setOpenAPIVersion(version).build();
    const document = SwaggerModule.createDocument(app, config);
    const validate = async () => {
      const { valid, errors } = await new Validator().validate(JSON.parse(JSON.stringify(document)));
      return valid || errors;
    };
    const responsesOf = (path: string, method: 'get' | 'post' = 'get') => document.paths[`/prices/${path}`]?.[method]?.responses ?? {};
    const contentOf = (path: string, method?: 'get' | 'post') =>
      (responsesOf(path, method)[200] as unknown as { content: Content }).content;
    return { document, validate, responsesOf, contentOf };
  };
  const price = { $ref: '#/components/schemas/Price' };
  const halt = { $ref: '#/components/schemas/Halt' };
  const id = { type: 'string' };
  const eventOf = (name: string, data: object) => ({
    type: 'object',
    required: ['event', 'data'],
    properties: { id, data, event: { type: 'string', enum: [name] } },
  });
  const jsonText = (contentSchema: object) => ({ type: 'string', contentMediaType: 'application/json', contentSchema });

  it.each(['3.0.0', '3.1.0', '3.2.0'])('describes the messages of a route with @ApiFeed(), valid in OpenAPI %s', async (version) => {
    const { document, validate, responsesOf, contentOf } = await documentOf(version);
    expect(await validate()).toBe(true);
    expect(contentOf('above')['text/event-stream']?.schema).toEqual({ oneOf: [eventOf('price', price), eventOf('halt', halt)] });
    expect(withFeedItems(document)).toBe(document);
    expect(await validate()).toBe(true);
    expect(JSON.stringify(document)).not.toContain('x-item-schema');
    expect(Object.keys(responsesOf('above'))).toEqual(['200', '404']);
    expect(responsesOf('above')[200]).toMatchObject({ description: 'Prices' });
    expect(Object.keys(responsesOf('found'))).toEqual(['200', '404']);
    expect(Object.keys(document.components?.schemas ?? {}).sort()).toEqual(['Halt', 'Other', 'Price']);
    const [member, data] = version === '3.0.0' ? ['schema', price] : [version === '3.1.0' ? 'schema' : 'itemSchema', jsonText(price)];
    for (const [path, method] of [
      ['above', 'get'],
      ['below', 'post'],
    ] as const) {
      const content = contentOf(path, method);
      expect(Object.keys(content)).toEqual(['text/event-stream', 'application/x-ndjson', 'text/plain']);
      for (const mediaType of ['text/event-stream', 'application/x-ndjson'])
        expect(Object.keys(content[mediaType] ?? {})).toEqual([member]);
      expect(content['text/plain']?.schema).toMatchObject({ type: 'string' });
    }
    const above = contentOf('above');
    expect(above['text/event-stream']?.[member]).toMatchObject({ oneOf: [eventOf('price', data), { required: ['event', 'data'] }] });
    expect(above['application/x-ndjson']?.[member]).toMatchObject({
      oneOf: [
        { required: ['type', 'data'], properties: { type: { enum: ['price'] }, data: price, time: { type: 'integer' } } },
        { properties: { type: { enum: ['halt'] }, data: halt } },
      ],
    });
    expect(contentOf('below', 'post')['text/event-stream']?.[member]).toEqual({
      type: 'object',
      required: ['data'],
      properties: { id, data },
    });
  });

  it('rejects @ApiFeed() without messages', () => {
    const rejected: ApiFeedOptions[] = [{}, { messages: {} }, { messages: { price: Price }, feed: news }];
    for (const options of rejected) {
      expect(() => ApiFeed(options)).toThrow(new TypeError('@ApiFeed() needs "messages" or "feed", with one message or more'));
    }
  });

  it('describes the messages of a definition by what its schemas say, and any data where they cannot', async () => {
    const { document, contentOf } = await documentOf('3.2.0');
    withFeedItems(document);
    const defined = contentOf('defined')['text/event-stream']?.itemSchema;
    const note = {
      type: 'object',
      properties: { text: { type: 'string' }, kind: { type: 'string', const: 'a' } },
      required: ['text', 'kind'],
    };
    expect((defined as { oneOf: object[] }).oneOf).toEqual([
      { type: 'object', required: ['data'], properties: { id, data: { type: 'string' } } },
      eventOf('note', jsonText({ ...note, additionalProperties: false })),
      eventOf('list', jsonText({ type: 'object', properties: { n: { type: 'number', exclusiveMinimum: 0 } }, required: ['n'] })),
      eventOf('any', { type: 'string' }),
      eventOf('tree', { type: 'string' }),
    ]);
    const plain = contentOf('plain')['application/x-ndjson']?.itemSchema;
    const { oneOf } = plain as { oneOf: { properties: { data: object } }[] };
    expect(oneOf.map(({ properties }) => properties.data)).toEqual(['number', 'string', 'boolean'].map((name) => ({ type: name })));
  });
});
