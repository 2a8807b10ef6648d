import { isIP } from 'node:net';
import * as v from 'valibot';
import { FloodOptionsError } from './errors.js';

/** What a flood does. */
export interface FloodOptions {
  /** What the connections ask for, less a number each: `http://127.0.0.1:8080/test/` leads to `/test/1`, `/test/2`, … */
  url: string;
  /** How many connections to hold. Default: 1000. */
  connections?: number;
  /** Connections opened a second. Default: 1000. */
  rate?: number;
  /** Seconds to hold all of them, counted from when the last one was opened. Default: 10. */
  duration?: number;
  /**
   * Addresses to connect from, in turn: each has some 28,000 ports. A number takes as many of 127.0.0.1, 127.0.0.2, ….
   * Default: the system's choice.
   */
  sources?: number | string[];
  /** The format to ask for. Default: none is stated. */
  format?: 'text' | 'sse' | 'ndjson';
  /** Process of the server, to sample its memory and CPU time from `/proc` (Linux). Default: none. */
  pid?: number;
  /**
   * Seconds that a connection may take until its first byte before it counts as failed, and (up to 5) that the last answers and
   * deliveries of what is published may take. Default: 30.
   */
  timeout?: number;
  /** How many ids the connections are spread over; 1 has all of them follow one feed. Default: as many as connections. */
  feeds?: number;
  /** Bearer token of the connections. Default: none. */
  token?: string;
  /** Messages to publish a second, for the duration, each to a random one of the ids that are followed. Default: none. */
  publish?: number;
  /** Bearer token for publishing. Default: none. */
  key?: string;
  /** Bytes that each published message is made up to; what it has to say takes some 40. Default: 0, no more than that. */
  messageBytes?: number;
}

/** The options, checked, with every default filled in. */
export interface ResolvedFloodOptions {
  host: string;
  port: number;
  path: string;
  connections: number;
  rate: number;
  duration: number;
  sources: string[];
  format: 'text' | 'sse' | 'ndjson' | undefined;
  pid: number | undefined;
  timeout: number;
  feeds: number;
  token: string | undefined;
  publish: number | undefined;
  key: string | undefined;
  messageBytes: number;
}

const whole = (least: number, most: number, unit: string) => {
  const rule = `must be a whole number of ${unit} from ${least} to ${most}`;
  return v.pipe(v.number(rule), v.safeInteger(rule), v.minValue(least, rule), v.maxValue(most, rule));
};

const seconds = v.pipe(
  v.number('must be a number of seconds'),
  v.finite('must be a number of seconds'),
  v.minValue(0, 'must be 0 or more seconds'),
  v.maxValue(604_800, 'must be 604800 or fewer seconds'),
);

const bearer = v.pipe(v.string(), v.regex(/^[\x21-\x7e]+$/, 'must be ASCII characters without blanks'));

const urlRule = 'must be an http:// URL that numbers can be put behind, such as http://127.0.0.1:8080/test/';

const schema = v.strictObject({
  url: v.pipe(
    v.string(urlRule),
    v.check((url) => URL.canParse(url) && new URL(url).protocol === 'http:', urlRule),
  ),
  connections: v.optional(whole(1, 1_000_000, 'connections'), 1000),
  rate: v.optional(whole(1, 100_000, 'connections a second'), 1000),
  duration: v.optional(seconds, 10),
  sources: v.optional(
    v.union(
      [
        whole(1, 254, 'addresses'),
        v.pipe(
          v.array(
            v.pipe(
              v.string(),
              v.check((address) => isIP(address) !== 0),
            ),
          ),
          v.minLength(1),
        ),
      ],
      'must be a number from 1 to 254, or IP addresses',
    ),
  ),
  format: v.optional(v.picklist(['text', 'sse', 'ndjson'], 'must be text, sse or ndjson')),
  pid: v.optional(whole(1, 4_194_304, 'a process (its id)')),
  timeout: v.optional(seconds, 30),
  feeds: v.optional(whole(1, 1_000_000, 'feeds')),
  token: v.optional(bearer),
  publish: v.optional(whole(1, 100_000, 'messages a second')),
  key: v.optional(bearer),
  messageBytes: v.optional(whole(0, 1_000_000, 'bytes'), 0),
});

/** What is not to be seen in a terminal or a log. */
const secrets = ['token', 'key'];

/** @throws FloodOptionsError naming the option, what it was and what is allowed */
export function resolveFloodOptions(options: FloodOptions): ResolvedFloodOptions {
  const result = v.safeParse(schema, options);
  if (!result.success) {
    const [issue] = result.issues;
    const option = String(issue.path?.[0]?.key);
    const value = (options as unknown as Record<string, unknown>)[option];
    const given = secrets.includes(option) ? 'what was given' : typeof value === 'string' ? `"${value}"` : value;
    throw new FloodOptionsError(`${option} ${issue.message}, not ${given}`, option);
  }
  const { url, sources, ...rest } = result.output;
  const { connections, feeds = connections } = rest;
  if (feeds > connections) throw new FloodOptionsError(`feeds must be no more than the ${connections} connections, not ${feeds}`, 'feeds');
  const { hostname, port, pathname, search } = new URL(url);
  return {
    ...rest,
    format: rest.format,
    pid: rest.pid,
    feeds,
    token: rest.token,
    publish: rest.publish,
    key: rest.key,
    host: hostname.replace(/^\[|\]$/g, ''),
    port: Number(port || 80),
    path: pathname + search,
    sources: typeof sources === 'number' ? Array.from({ length: sources }, (_, n) => `127.0.0.${n + 1}`) : (sources ?? []),
  };
}
