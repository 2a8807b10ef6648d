import type { StandardSchemaV1 } from '@standard-schema/spec';
import type { FeedEnd } from './end.js';

// A browser has this file as well: it imports types alone.

/** The data of a feed's messages by their type, as any Standard Schema. The key `message` is for messages without a type. */
export type FeedSchemas = Readonly<Record<string, StandardSchemaV1>>;

/** The names of a pattern's parameters: `symbol` of `prices/:symbol`. */
export type FeedParameters<Pattern extends string> = Pattern extends `${infer First}/${infer Rest}`
  ? FeedParameters<First> | FeedParameters<Rest>
  : Pattern extends `:${infer Name}`
    ? Name
    : never;

/** A feed of a definition: where the module and its client take a feed's id, they take one as well, and know its messages. */
export interface FeedRef<Schemas extends FeedSchemas = FeedSchemas> {
  readonly id: string;
  readonly definition: FeedDescription<Schemas>;
}

/** What a definition says of its feeds. */
export interface FeedDescription<Schemas extends FeedSchemas = FeedSchemas> {
  /** The id of its feeds, with `:name` for the segments that differ. */
  readonly pattern: string;
  readonly messages: Schemas;
}

/**
 * Feeds of one form, and what their messages are. Called with the values of the pattern's parameters, it names one of them; a value that is
 * empty, or has a slash or another character that no segment of an id has, throws a TypeError with the code FEED_ID.
 */
export interface FeedDefinition<Pattern extends string = string, Schemas extends FeedSchemas = FeedSchemas>
  extends FeedDescription<Schemas> {
  readonly pattern: Pattern;
  (
    ...parameters: [FeedParameters<Pattern>] extends [never] ? [] : [values: Readonly<Record<FeedParameters<Pattern>, string | number>>]
  ): FeedRef<Schemas>;
}

/** The messages of a ref or a definition, as their readers get them: a union that `type` tells apart. */
export type FeedMessageOf<Feed extends FeedRef | FeedDescription> = MessageOf<SchemasOf<Feed>>;

/** The schemas of a ref or a definition. */
export type SchemasOf<Feed> = Feed extends FeedRef<infer Schemas> ? Schemas : Feed extends FeedDescription<infer Schemas> ? Schemas : never;

type MessageOf<Schemas extends FeedSchemas> = {
  [Type in keyof Schemas & string]: {
    readonly id: string;
    readonly feed: string;
    readonly type: Type extends 'message' ? undefined : Type;
    readonly data: StandardSchemaV1.InferOutput<Schemas[Type]>;
    /** When the broker stored it, in milliseconds since 1970. */
    readonly time?: number | undefined;
  };
}[keyof Schemas & string];

/** A message that tells of the feed itself: its end, or that messages are lost. */
export type FeedNotice =
  | { readonly id: string; readonly feed: string; readonly type: 'end'; readonly data: FeedEnd; readonly time: number }
  | { readonly feed: string; readonly type: 'reset'; readonly data: { readonly feed: string; readonly oldest: string | null } };

/** The longest id of a feed, in characters. */
export const longestFeedId = 200;

/** The form of a segment of a feed's id. Browsers and proxies remove the segments `.` and `..` from a path (RFC 3986 section 5.2.4). */
export const segmentForm = /^(?!\.\.?(?:\/|$))[\w.~:@-]+$/;

/**
 * Defines feeds and their messages, for the server and its clients alike.
 *
 * @param pattern a feed's id, in which the segments that begin with a colon are parameters: `prices/:symbol`
 * @param messages a schema of the data for each type of message
 * @throws TypeError where the pattern is no such id
 */
export function defineFeed<const Pattern extends string, Schemas extends FeedSchemas>(
  pattern: Pattern,
  messages: Schemas,
): FeedDefinition<Pattern, Schemas> {
  const segments = pattern.split('/');
  if (segments.some((segment) => !segmentForm.test(segment) || /^:(?![a-z_]\w*$)/i.test(segment))) {
    throw new TypeError(`"${pattern}" is no feed id, with :name segments or without`);
  }
  const definition = (values: Record<string, string | number> = {}) => ({
    id: segments
      .map((segment) => {
        if (segment[0] !== ':') return segment;
        const value = `${values[segment.slice(1)] ?? ''}`;
        if (segmentForm.test(value)) return value;
        const message = `${pattern} needs a ${segment} of A-Z a-z 0-9 . _ ~ : @ -, not "${value}"`;
        throw Object.assign(new TypeError(message), { code: 'FEED_ID' });
      })
      .join('/'),
    definition,
  });
  return Object.assign(definition, { pattern, messages }) as never;
}
