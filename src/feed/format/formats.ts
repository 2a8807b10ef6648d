import Negotiator from 'negotiator';
import { FeedException } from '../errors/feed-exception.js';
import type { Format } from './format.js';
import { markedNdjson, ndjson } from './ndjson.js';
import { sse } from './sse.js';
import { labelledText, text } from './text.js';

/** In order of preference: a client that states none gets the first. */
export const formats: readonly Format[] = [text, sse, ndjson];

/** The longest `Accept` that is read, in characters: what has thousands of media types takes longer than the rest of a request. */
const longestAccept = 1000;

const mediaTypes = formats.map((format) => format.mediaType);

/** The same format for a connection on several feeds, whose messages name their feed. */
export function labelled(format: Format): Format {
  return format === text ? labelledText : format;
}

/** The same format for a client that asks for positions between the messages. */
export function marked(format: Format): Format {
  return format === ndjson ? markedNdjson : format;
}

/** All formats, and all that `labelled()` and `marked()` make of them: each has an encoder. */
export const variants: readonly Format[] = [...formats, labelledText, markedNdjson];

/**
 * The format that a client asks for: `?format=` by name, else by `Accept` (RFC 9110 section 12.5.1), which may be disregarded.
 *
 * @throws FeedException FEED_FORMAT (406) when the client accepts none of the formats
 */
export function chooseFormat(accept: string | undefined, query: string | null): Format {
  const format = query === null ? negotiate(accept) : formats.find(({ name }) => name === query);
  if (format) return format;
  const names = formats.map(({ name }) => name);
  const message = `Ask for one of ${names.join(', ')}, with ?format= or by its media type in Accept.`;
  throw new FeedException('FEED_FORMAT', { message, formats: names });
}

function negotiate(accept: string | undefined): Format | undefined {
  if (accept === undefined || accept === '*/*' || accept.length > longestAccept) return formats[0];
  // What EventSource and most others send needs no negotiation.
  const only = formats.find((format) => format.mediaType === accept);
  if (only) return only;
  const mediaType = new Negotiator({ headers: { accept } }).mediaType(mediaTypes);
  return formats.find((format) => format.mediaType === mediaType);
}
