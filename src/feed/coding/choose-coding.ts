import Negotiator from 'negotiator';
import { FeedException } from '../errors/feed-exception.js';

/** How responses are encoded (RFC 9110 section 8.4.1), in order of preference. */
const codings = ['gzip', 'identity'] as const;

/** `identity`: as they are. */
export type Coding = (typeof codings)[number];

/** The longest `Accept-Encoding` that is read, in characters. */
const longestAccept = 1000;

/**
 * The coding that a client asks for by `Accept-Encoding` (RFC 9110 section 12.5.3).
 *
 * @throws FeedException FEED_CODING (406) when it accepts neither
 */
export function chooseCoding(accept: string | string[] | undefined): Coding {
  if (typeof accept !== 'string' || accept.length > longestAccept) return 'identity';
  const coding = new Negotiator({ headers: { 'accept-encoding': accept } }).encoding([...codings]);
  if (coding === undefined) throw new FeedException('FEED_CODING');
  return coding as Coding;
}
