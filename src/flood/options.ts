import { isIP } from 'node:net';
import * as v from 'valibot';
import { FloodOptionsError } from './errors.js';

/** The options of a flood. */
export interface FloodOptions {
  /** The URL prefix, to which a number is appended: `http://127.0.0.1:8080/test/` opens `/test/1`, `/test/2`, … */
  url: string;
  /** The number of connections. Default: 1000. */
  connections?: number;
  /** Connections opened per second. Default: 1000. */
  rate?: number;
  /** How long to hold all of them after the last one was opened, in seconds. Default: 10. */
  duration?: number;
  /**
   * The addresses to connect from, in turn: each has some 28,000 ports. A number uses as many of 127.0.0.1, 127.0.0.2, ….
   * Default: the system's choice.
   */
  sources?: number | string[];
  /** The format to request. Default: the server's choice. */
  format?: 'text' | 'sse' | 'ndjson';
  /** The server's process id, to sample its memory and CPU time from `/proc` (Linux). Default: they are not sampled. */
  pid?: number;
  /**
   * How long a connection may take until its first byte before it counts as failed, and (up to 5) how long to wait for the last responses
   * and deliveries of published messages, in seconds. Default: 30.
   */
  timeout?: number;
  /** The number of ids that the connections are spread over; with 1, all follow one feed. Default: the number of connections. */
  feeds?: number;
  /** Bearer token of the connections. Default: none. */
  token?: string;
  /** Messages published per second for the duration, each to a random id with followers. Default: none. */
  publish?: number;
  /** Bearer token for publishing. Default: none. */
  key?: string;
  /** The size that published messages are padded to, in bytes. Default: 0, no padding: some 40 bytes. */
  messageBytes?: number;
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

const bearer = v.pipe(v.string(), v.regex(/^[\x21-\x7e]+$/, 'must be visible ASCII characters without spaces'));

const address = v.pipe(
  v.string(),
  v.check((text) => isIP(text) !== 0),
);

const urlRule = 'must be an http:// URL to which numbers can be appended, such as http://127.0.0.1:8080/test/';

const schema = v.strictObject({
  url: v.pipe(
    v.string(urlRule),
    v.check((url) => URL.canParse(url) && new URL(url).protocol === 'http:', urlRule),
  ),
  connections: v.optional(whole(1, 1_000_000, 'connections'), 1000),
  rate: v.optional(whole(1, 100_000, 'connections per second'), 1000),
  duration: v.optional(seconds, 10),
  sources: v.optional(
    v.union([whole(1, 254, 'addresses'), v.pipe(v.array(address), v.minLength(1))], 'must be a number from 1 to 254, or IP addresses'),
  ),
  format: v.optional(v.picklist(['text', 'sse', 'ndjson'], 'must be text, sse or ndjson')),
  pid: v.optional(whole(1, 4_194_304, 'a process id')),
  timeout: v.optional(seconds, 30),
  feeds: v.optional(whole(1, 1_000_000, 'feeds')),
  token: v.optional(bearer),
  publish: v.optional(whole(1, 100_000, 'messages per second')),
  key: v.optional(bearer),
  messageBytes: v.optional(whole(0, 1_000_000, 'bytes'), 0),
});

/** The options, checked, with all defaults. */
export interface ResolvedFloodOptions extends Omit<v.InferOutput<typeof schema>, 'url' | 'sources' | 'feeds'> {
  host: string;
  port: number;
  path: string;
  sources: string[];
  feeds: number;
}

/** Options whose values are not shown in error messages. */
const secrets = ['token', 'key'];

/** @throws FloodOptionsError naming the option, its value (unless that is secret) and what is allowed */
export function resolveFloodOptions(options: FloodOptions): ResolvedFloodOptions {
  const result = v.safeParse(schema, options);
  if (!result.success) {
    const [issue] = result.issues;
    const option = String(issue.path?.[0]?.key);
    const value = (options as unknown as Record<string, unknown>)[option];
    const given = secrets.includes(option) ? 'the given value' : typeof value === 'string' ? `"${value}"` : value;
    throw new FloodOptionsError(`${option} ${issue.message}, not ${given}`, option);
  }
  const { url, sources, ...rest } = result.output;
  const { connections, feeds = connections } = rest;
  if (feeds > connections) throw new FloodOptionsError(`feeds must be no more than the ${connections} connections, not ${feeds}`, 'feeds');
  const { hostname, port, pathname, search } = new URL(url);
  return {
    ...rest,
    feeds,
    host: hostname.replace(/^\[|\]$/g, ''),
    port: Number(port || 80),
    path: pathname + search,
    sources: typeof sources === 'number' ? Array.from({ length: sources }, (_, n) => `127.0.0.${n + 1}`) : (sources ?? []),
  };
}
