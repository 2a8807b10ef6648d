import { SetMetadata, type Type } from '@nestjs/common';
import type { StandardSchemaV1 } from '@standard-schema/spec';
import { ndjson } from '../format/ndjson.js';
import { sse } from '../format/sse.js';
import { text } from '../format/text.js';
import type { FeedDescription } from '../message/feed-definition.js';
import { hasReferences, isText, type JsonSchema, jsonSchemaOf } from './json-schema.js';

// What @nestjs/swagger's decorators leave for it to read, without a dependency on it.
const EXCLUDED = 'swagger/apiExcludeController';
const RESPONSE = 'swagger/apiResponse';
const PARAMETERS = 'swagger/apiParameters';
const EXTRA_MODELS = 'swagger/apiExtraModels';
const SCHEMA = 'swagger/apiSchema';

/** What `withFeedItems()` finds in a media type: the schema of one message, of JSON Schema 2020-12. */
const itemExtension = 'x-item-schema';

const description = 'A feed: a response that stays open';

/** What an OpenAPI document says of a `@Feed()` route: its `messages`, or the `feed` whose definition has them. */
export interface ApiFeedOptions {
  /**
   * The data of the messages by their type: a class that `@nestjs/swagger` knows, `String`, `Number`, `Boolean`, or a Standard Schema. The key
   * `message` is for messages without a type.
   */
  messages?: Readonly<Record<string, StandardSchemaV1 | Type<unknown> | typeof String | typeof Number | typeof Boolean>>;
  /** A definition that `defineFeed()` has made. */
  feed?: FeedDescription;
  /** Default: `A feed: a response that stays open`. */
  description?: string;
}

type Data = NonNullable<ApiFeedOptions['messages']>[string];
type Described = Record<string, { description?: string; content?: object }>;

/** Keeps a controller out of the application's OpenAPI document: an id with slashes is a path that such a document cannot express. */
export const Undocumented = () => SetMetadata(EXCLUDED, [true]);

/** Describes query parameters of text, all of them optional. */
export const DocumentedQuery = (...names: string[]) =>
  SetMetadata(
    PARAMETERS,
    names.map((name) => ({ name, in: 'query', required: false, type: String })),
  );

/** Gives a feed's response its media types, unless the application has described it. */
export function documentFeed(handler: object): void {
  const described: Described = Reflect.getMetadata(RESPONSE, handler) ?? {};
  if (Object.keys(described).some((status) => /^(2|default)/.test(status))) return;
  const types = [text, sse, ndjson].map(({ mediaType }) => [mediaType, { schema: { type: 'string' } }]);
  Reflect.defineMetadata(RESPONSE, { 200: { description, content: Object.fromEntries(types) }, ...described }, handler);
}

/**
 * Describes the messages of a `@Feed()` route in the document that `@nestjs/swagger` makes of the application: for each format the schema of a
 * message. Pass the document to `withFeedItems()` to have it say so as OpenAPI 3.1 and 3.2 can.
 *
 * @throws TypeError unless one of `messages` and `feed` is given, and has a message
 */
export function ApiFeed({ messages, feed, description: given = description }: ApiFeedOptions): MethodDecorator {
  const all = Object.entries<Data>(messages ?? feed?.messages ?? {});
  if (all.length === 0 || (messages && feed)) throw new TypeError('@ApiFeed() needs "messages" or "feed", with one message or more');
  return (_target, _key, descriptor: PropertyDescriptor) => {
    const handler: object = descriptor.value;
    const models = all.map(([, data]) => data).filter((data) => modelOf(data) !== undefined);
    Reflect.defineMetadata(EXTRA_MODELS, [...(Reflect.getMetadata(EXTRA_MODELS, handler) ?? []), ...models], handler);
    const content = {
      [sse.mediaType]: itemsOf(all, eventOf),
      [ndjson.mediaType]: itemsOf(all, lineOf),
      [text.mediaType]: { schema: { type: 'string', description: 'The data of each message, a line each' } },
    };
    Reflect.defineMetadata(RESPONSE, { ...Reflect.getMetadata(RESPONSE, handler), 200: { description: given, content } }, handler);
  };
}

/**
 * Has a document of `@nestjs/swagger` describe the messages of `@ApiFeed()` routes as its version of OpenAPI can: from 3.2 on by
 * `itemSchema`, which is what each message of the stream fits; in 3.1 by a schema with all that JSON Schema knows.
 *
 * @returns the document, which is changed
 */
export function withFeedItems<Document extends { openapi: string; paths: object }>(document: Document): Document {
  const [major = 3, minor = 0] = document.openapi.split('.').map(Number);
  const version = major * 100 + minor;
  for (const path of Object.values<Record<string, unknown>>(document.paths as never)) {
    for (const operation of Object.values(path) as { responses?: Described }[]) {
      for (const { content = {} } of Object.values(operation?.responses ?? {})) {
        for (const mediaType of Object.values<Record<string, unknown>>(content as never)) {
          const { [itemExtension]: item } = mediaType;
          if (item === undefined) continue;
          delete mediaType[itemExtension];
          if (version >= 302) delete mediaType.schema;
          if (version >= 301) mediaType[version >= 302 ? 'itemSchema' : 'schema'] = item;
        }
      }
    }
  }
  return document;
}

type Target = 'openapi-3.0' | 'draft-2020-12';
type Item = (type: string | undefined, data: JsonSchema, target: Target) => JsonSchema;

/** What a media type says of its messages. */
function itemsOf(messages: readonly [string, Data][], item: Item): Record<string, JsonSchema> {
  const schemaFor = (target: Target) => {
    const items = messages.map(([type, data]) => item(type === 'message' ? undefined : type, dataSchema(data, target), target));
    return items.length === 1 ? (items[0] as JsonSchema) : { oneOf: items };
  };
  return { schema: schemaFor('openapi-3.0'), [itemExtension]: schemaFor('draft-2020-12') };
}

/** A line of NDJSON. */
function lineOf(type: string | undefined, data: JsonSchema): JsonSchema {
  const own = { id: { type: 'string' }, feed: { type: 'string' }, time: { type: 'integer' } };
  if (type === undefined) return { type: 'object', required: ['data'], properties: { ...own, data } };
  return { type: 'object', required: ['type', 'data'], properties: { ...own, type: { type: 'string', enum: [type] }, data } };
}

/** A server-sent event. Its data is text, in which OpenAPI 3.0 cannot describe JSON: there the schema is that of the JSON. */
function eventOf(type: string | undefined, data: JsonSchema, target: Target): JsonSchema {
  const properties = { id: { type: 'string' }, data: target === 'openapi-3.0' ? data : textOf(data) };
  if (type === undefined) return { type: 'object', required: ['data'], properties };
  return { type: 'object', required: ['event', 'data'], properties: { ...properties, event: { type: 'string', enum: [type] } } };
}

/** The text that carries data. */
function textOf(data: JsonSchema): JsonSchema {
  const isPlain = isText(data);
  if (isPlain) return data;
  return { type: 'string', ...(isPlain === false && { contentMediaType: 'application/json', contentSchema: data }) };
}

function dataSchema(data: Data, target: Target): JsonSchema {
  if ('~standard' in data) {
    const schema = jsonSchemaOf(data, target);
    // They would have to hold wherever in the document the schema stands.
    return hasReferences(schema) ? {} : schema;
  }
  const model = modelOf(data);
  return model === undefined ? { type: data.name.toLowerCase() } : { $ref: `#/components/schemas/${model}` };
}

/** The name of a class in the document; undefined where the data is no such class. */
function modelOf(data: Data): string | undefined {
  if ('~standard' in data || data === String || data === Number || data === Boolean) return undefined;
  return Reflect.getOwnMetadata(SCHEMA, data)?.at(-1)?.name ?? data.name;
}
