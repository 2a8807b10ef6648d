import Negotiator from 'negotiator';
import type { Format } from './format.js';
import { ndjson } from './ndjson.js';
import { sse } from './sse.js';
import { labelledText, text } from './text.js';

/** In order of preference: the first is what a client gets that states none. */
export const formats: readonly Format[] = [text, sse, ndjson];

const mediaTypes = formats.map((format) => format.mediaType);

/** The same format for a connection on several feeds, whose messages say which feed they are of. */
export function labelled(format: Format): Format {
  return format === text ? labelledText : format;
}

/**
 * The format a client asks for: `?format=` by name, or else by `Accept` (RFC 9110 section 12.5.1).
 *
 * @returns undefined when the client wants something that nobody offers
 */
export function chooseFormat(accept: string | undefined, query: string | null): Format | undefined {
  if (query !== null) return formats.find((format) => format.name === query);
  if (accept === undefined || accept === '*/*') return formats[0];
  const mediaType = new Negotiator({ headers: { accept } }).mediaType(mediaTypes);
  return formats.find((format) => format.mediaType === mediaType);
}
