import { endType, feedEndReasons } from '../message/end.js';
import type { FeedDescription } from '../message/feed-definition.js';
import { resetType } from '../message/message.js';
import { isText, type JsonSchema, jsonSchemaOf, rebased } from './json-schema.js';

/** What an AsyncAPI document describes. */
export interface AsyncApiOptions {
  readonly info: { readonly title: string; readonly version: string; readonly description?: string };
  /** Where the application is, such as `https://api.example.com/v1`. Default: the document names no server. */
  readonly url?: string;
  /** The path of the built-in routes, as in the option `path` of the module. */
  readonly path: string;
  readonly feeds: readonly FeedDescription[];
}

/** An AsyncAPI document. */
export interface AsyncApiDocument {
  readonly asyncapi: '3.0.0';
  readonly info: AsyncApiOptions['info'];
  readonly channels: Record<string, object>;
  readonly operations: Record<string, object>;
  readonly [member: string]: unknown;
}

/** Messages that the module makes, of any feed. */
const notices = {
  [endType]: {
    name: endType,
    summary: 'The last message of the feed',
    payload: {
      type: 'object',
      required: ['reason'],
      properties: { reason: { type: 'string', enum: feedEndReasons }, message: { type: 'string' } },
    },
  },
  [resetType]: {
    name: resetType,
    summary: 'Messages are lost: load the state anew',
    payload: { type: 'object', properties: { feed: { type: 'string' }, oldest: { type: ['string', 'null'] } } },
  },
};

/**
 * Makes an AsyncAPI 3 document of defined feeds: a channel for each definition, with the data of its messages by type, an operation to follow
 * its feeds, and one to publish to them. The schemas are those that the schema libraries give as JSON Schema; where one cannot, any data
 * fits.
 *
 * @throws TypeError where the URL is none
 */
export function asyncApiDocument({ info, url, path, feeds }: AsyncApiOptions): AsyncApiDocument {
  const channels: Record<string, object> = {};
  const operations: Record<string, object> = {};
  for (const { pattern, messages } of feeds) {
    const name = nameIn(channels, pattern);
    const refTo = (type: string) => ({ $ref: `${pointer('channels', name, 'messages', type)}` });
    const own = Object.entries(messages).map(([type, schema]) => {
      const place = pointer('channels', name, 'messages', type, 'payload');
      return [type, messageOf(type, rebased(jsonSchemaOf(schema, 'draft-07'), place))] as const;
    });
    const noticed = Object.keys(notices).map((type) => [type, { $ref: pointer('components', 'messages', type) }] as const);
    const parameters = pattern.split('/').flatMap((segment) => (segment.startsWith(':') ? [[segment.slice(1), {}]] : []));
    channels[name] = {
      title: pattern,
      address: `/${[path.replace(/^\/+|\/+$/g, ''), ...pattern.split('/').map((segment) => segment.replace(/^:(.*)/, '{$1}'))].join('/')}`,
      ...(parameters.length > 0 && { parameters: Object.fromEntries(parameters) }),
      messages: Object.fromEntries([...own, ...noticed]),
    };
    const operation = (action: string, method: string, summary: string, types: string[]) => ({
      action,
      channel: { $ref: pointer('channels', name) },
      summary,
      bindings: { http: { method, bindingVersion: '0.3.0' } },
      messages: types.map(refTo),
    });
    const types = Object.keys(messages);
    operations[`follow-${name}`] = operation('send', 'GET', 'Follow a feed', [...types, ...Object.keys(notices)]);
    operations[`publish-${name}`] = operation('receive', 'POST', 'Publish to a feed', types);
  }
  return {
    asyncapi: '3.0.0',
    info,
    ...(url !== undefined && { servers: { default: serverAt(new URL(url)) } }),
    defaultContentType: 'application/json',
    channels,
    operations,
    components: { messages: notices },
  };
}

function serverAt({ host, protocol, pathname }: URL): object {
  return { host, protocol: protocol.slice(0, -1), ...(pathname !== '/' && { pathname: pathname.replace(/\/$/, '') }) };
}

function messageOf(type: string, payload: JsonSchema): object {
  const contentType = isText(payload) ? 'text/plain' : 'application/json';
  return { name: type, ...(type === 'message' && { summary: 'A message without a type' }), contentType, payload };
}

/** A name for the pattern's channel that no other has. */
function nameIn(channels: object, pattern: string): string {
  const name = pattern.replace(/\W+/g, '-').replace(/^-|-$/g, '') || 'feed';
  for (let count = 1; ; count += 1) {
    const tried = count === 1 ? name : `${name}-${count}`;
    if (!Object.hasOwn(channels, tried)) return tried;
  }
}

/** A reference into the document (RFC 6901 section 6). */
function pointer(...keys: string[]): string {
  return ['#', ...keys.map((key) => encodeURIComponent(key.replaceAll('~', '~0').replaceAll('/', '~1')))].join('/');
}
