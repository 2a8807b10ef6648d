import { SetMetadata } from '@nestjs/common';
import { formats } from '../format/formats.js';

// What @nestjs/swagger's decorators leave for it to read, without a dependency on it.
const EXCLUDED = 'swagger/apiExcludeController';
const RESPONSE = 'swagger/apiResponse';
const PARAMETERS = 'swagger/apiParameters';

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
  if (Reflect.hasMetadata(RESPONSE, handler)) return;
  const content = Object.fromEntries([...formats].map(({ contentType }) => [contentType.split(';')[0], { schema: { type: 'string' } }]));
  Reflect.defineMetadata(RESPONSE, { 200: { description: 'A feed: a response that stays open', content } }, handler);
}
