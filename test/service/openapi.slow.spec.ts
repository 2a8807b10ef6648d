import { readFile, rm } from 'node:fs/promises';
import { DocumentBuilder, type OpenAPIObject, SwaggerModule } from '@nestjs/swagger';
import { AppModule } from '../../src/app.module.js';
import { readConfig } from '../../src/service/config.js';
import { adminKey } from '../support/admin.js';
import { asyncApiFaults } from '../support/asyncapi.js';
import { Peer } from '../support/peer.js';
import { Run, type Served } from '../support/run.js';
import { asJson, type Platform, platforms, publishKey, serve, until } from '../support/serve.js';
import { jwtSecret, sign } from '../support/tokens.js';
import { folderWithout } from '../support/without.js';

// The parts of a document have no names of their own in the package's exports.
type Document = OpenAPIObject;
type Schema = NonNullable<NonNullable<Document['components']>['schemas']>[string];
type Operation = NonNullable<Document['paths'][string]['get']>;
type Content = NonNullable<Exclude<NonNullable<Operation['requestBody']>, { $ref: string }>>['content'];

const maxConnections = 2;

const start = (platform: Platform, env: Record<string, string> = {}, folder?: string) => {
  const always = { FEED_ADAPTER: platform, FEED_PUBLISH_KEY: publishKey, FEED_MAX_CONNECTIONS: `${maxConnections}` };
  return Run.service({ ...always, ...env }, [], folder);
};

/** Opens as many feeds as there may be. */
async function fill(service: Served): Promise<Peer[]> {
  const headers = [`Authorization: Bearer ${publishKey}`, 'Accept: text/plain'];
  const peers = await Promise.all(Array.from({ length: maxConnections }, () => Peer.get(service.port, '/test/full', ...headers)));
  await until(async () => (await service.counts()).open === maxConnections);
  return peers;
}

async function empty(service: Served): Promise<void> {
  Peer.leaveAll();
  await service.isEmpty();
}

interface Route {
  readonly path: string;
  readonly method: 'get' | 'post' | 'delete';
  readonly operation: Operation;
}

function routesOf({ paths }: Document): Route[] {
  return Object.entries(paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, operation]) => ({ path, method, operation }) as Route),
  );
}

interface Answer {
  readonly status: number;
  /** The errors that it may be, by their codes. */
  readonly codes: string[];
  readonly headers: Record<string, { readonly required?: boolean }>;
  readonly content: Content;
}

function answersOf({ operation }: Route): Answer[] {
  return Object.entries(operation.responses).map(([status, answer]) => {
    const codes = [...(answer as { description: string }).description.matchAll(/`([A-Z]+_[A-Z_]+)`/g)].map(([, code]) => code);
    return { headers: {}, content: {}, ...answer, status: Number(status), codes } as unknown as Answer;
  });
}

function examplesOf(content: Content): [string, unknown][] {
  return Object.values(content).flatMap(({ example, examples = {} }) => [
    ...(example === undefined ? [] : ([['example', example]] as [string, unknown][])),
    ...Object.entries(examples).map(([name, value]) => [name, (value as { value: unknown }).value] as [string, unknown]),
  ]);
}

interface Call {
  url: string;
  readonly method: string;
  readonly headers: Record<string, string>;
  body?: string;
}

/** The request that the document shows, as somebody who may; with all its parameters, or with those alone that it must have. */
function callOf(url: string, { path, method, operation }: Route, isWhole: boolean, mediaType?: string): Call {
  const target = new URL(url + path.replace('{id}', 'ID'));
  const key = path.startsWith('/admin') ? adminKey : publishKey;
  const headers: Record<string, string> = operation.security?.length ? { Authorization: `Bearer ${key}` } : {};
  for (const parameter of operation.parameters ?? []) {
    const {
      name,
      required,
      in: place,
      example,
    } = parameter as { name: string; required?: boolean; in: string; example: string | string[] };
    if (!isWhole && !required) continue;
    if (place === 'path') target.pathname = target.pathname.replace('ID', encodeURIComponent(`${example}`));
    else if (example === undefined) continue;
    else if (place === 'header') headers[name] = `${example}`;
    else for (const value of [example].flat()) target.searchParams.append(name, value);
  }
  if (mediaType === undefined) return { url: target.href, method, headers };
  if (method === 'get') {
    if (mediaType === 'application/json' && path.startsWith('/test')) {
      target.searchParams.set('mode', 'once');
      target.searchParams.delete('marks'); // it goes with a stream
    }
    return { url: target.href, method, headers: { ...headers, Accept: mediaType } };
  }
  const [, body] = examplesOf({ [mediaType]: (bodyOf(operation) as Content)[mediaType] as Content[string] })[0] as [string, unknown];
  headers['Content-Type'] = mediaType;
  return { url: target.href, method, headers, body: mediaType === 'text/plain' ? `${body}` : JSON.stringify(body) };
}

function bodyOf({ requestBody }: Operation): Content | undefined {
  return requestBody && 'content' in requestBody ? requestBody.content : undefined;
}

function send({ url, ...request }: Call): Promise<Response> {
  return fetch(url, { ...request, method: request.method.toUpperCase() });
}

/** A token that is good for nothing. */
const worthless = await sign({ feeds: [] });

function setData(call: Call, data: string): void {
  call.body = call.headers['Content-Type'] === 'text/plain' ? data : JSON.stringify({ ...JSON.parse(call.body ?? ''), data });
}

/** What makes of a good request one that is refused with this code. */
const faults: Record<string, (call: Call) => unknown> = {
  FEED_ENDED: async (call) => {
    const { origin } = new URL(call.url);
    await fetch(`${origin}/test/over?end`, { method: 'POST', headers: { Authorization: `Bearer ${publishKey}` } });
    call.url = call.url.replace('orders%2F7', 'over');
    call.body = call.body?.replace('orders/7', 'over');
  },
  FEED_POSITION: (call) => {
    call.url += '&expected=never-1';
  },
  FEED_KEY: async (call) => {
    call.headers['Idempotency-Key'] = `${call.url} ${call.headers['Content-Type']}`;
    const other = { ...call, headers: { ...call.headers } };
    setData(other, 'other');
    expect((await send(other)).status).toBe(201);
  },
  FEED_ID: (call) => {
    call.url = call.url.replace('orders%2F7', '%20');
    call.body = call.body?.replace('orders/7', ' ');
  },
  FEED_IDS: (call) => {
    call.url = call.url.replace(/\bid=[^&]*&?/g, '');
  },
  FEED_SINCE: (call) => {
    call.url = call.url.replace('since=earliest', 'since=yesterday');
    delete call.headers['Last-Event-ID'];
  },
  FEED_QUERY: (call) => {
    call.url += `${call.url.includes('?') ? '&' : '?'}mode=now`;
  },
  HEALTH_SCOPE: (call) => {
    call.url = call.url.replace('scope=service', 'scope=all');
  },
  METRICS_SCOPE: (call) => {
    call.url = call.url.replace('scope=worker', 'scope=everything');
  },
  FEED_FORMAT: (call) => {
    call.url += '&format=xml';
  },
  FEED_UNAUTHORIZED: (call) => {
    delete call.headers.Authorization;
  },
  FEED_FORBIDDEN: (call) => {
    call.headers.Authorization = `Bearer ${worthless}`;
  },
  FEED_MESSAGE: (call) => setData(call, 'carriage\rreturn'),
  FEED_BODY_TOO_LARGE: (call) => setData(call, 'x'.repeat(65_537)),
  FEED_MEDIA_TYPE: (call) => {
    delete call.headers['Content-Type'];
    delete call.body;
  },
};

/** Whether a value is as a schema says, by the keywords that the document uses. */
function fits(document: Document, schema: Schema, value: unknown): boolean {
  if ('$ref' in schema) return fits(document, document.components?.schemas?.[schema.$ref.split('/').at(-1) ?? ''] as Schema, value);
  const { description, oneOf, type, enum: values, required = [], properties = {}, additionalProperties, items, ...bounds } = schema;
  const {
    pattern = '',
    maxLength = Infinity,
    minItems = 0,
    maxItems = Infinity,
    minimum = -Infinity,
    maximum = Infinity,
    ...unknown
  } = bounds;
  expect(unknown).toEqual({});
  if (oneOf) return oneOf.filter((one) => fits(document, one, value)).length === 1;
  if (type !== undefined && ![type].flat().includes(typeOf(value)) && !(type === 'number' && typeof value === 'number')) return false;
  if (values && !values.includes(value)) return false;
  if (typeof value === 'string') return new RegExp(pattern, 'u').test(value) && value.length <= maxLength;
  if (typeof value === 'number') return value >= minimum && value <= maximum;
  if (Array.isArray(value)) {
    return value.length >= minItems && value.length <= maxItems && value.every((item) => fits(document, items ?? {}, item));
  }
  const entries = Object.entries(value ?? {});
  return (
    required.every((name) => name in (value as object)) &&
    entries.every(([name, one]) => (name in properties || additionalProperties !== false) && fits(document, properties[name] ?? {}, one))
  );
}

function typeOf(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  return Number.isInteger(value) ? 'integer' : typeof value;
}

/** A server that drains closes idle connections, also one that `fetch` is just about to use again. */
async function retried(request: () => Promise<Response>): Promise<Response> {
  for (;;) {
    try {
      return await request();
    } catch (error) {
      if (!/ECONNRESET|other side closed/.test(String((error as Error).cause))) throw error;
    }
  }
}

/** Checks that an answer is the documented one, and returns its JSON; of a feed, its head counts. */
async function expectAnswer(document: Document, response: Response, { status, headers, content }: Answer): Promise<unknown> {
  expect(response.status).toBe(status);
  const mediaType = response.headers.get('content-type')?.split(';')[0] ?? '';
  expect(status === 204 ? [''] : Object.keys(content)).toContain(mediaType);
  for (const [name, { required }] of Object.entries(headers)) {
    if (required !== false) expect(response.headers.get(name)).not.toBeNull();
  }
  if (mediaType !== 'application/json') return response.body?.cancel();
  const body = await response.json();
  expect([body, fits(document, content[mediaType]?.schema as Schema, body)]).toEqual([body, true]);
  return body;
}

describe.each(platforms)('the document on %s', (platform) => {
  let service: Served;
  let document: Document;
  beforeAll(async () => {
    service = await start(platform);
    document = await service.json('/docs-json');
  });
  afterAll(() => Run.endAll());
  afterEach(() => Peer.leaveAll());

  it('has a page that needs no other host', async () => {
    const { url, err } = service;
    expect(err).toBe('');
    const page = await fetch(`${url}/docs`);
    expect(page.status).toBe(200);
    expect(page.headers.get('content-type')).toContain('text/html');
    expect(page.headers.get('content-security-policy')).toContain("default-src 'self'");
    const html = await page.text();
    const assets = [...html.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, asset]) => new URL(asset as string, `${url}/docs`));
    expect(assets.length).toBeGreaterThan(3);
    for (const asset of assets) {
      expect(asset.origin).toBe(url);
      expect([asset.pathname, (await fetch(asset)).status]).toEqual([asset.pathname, 200]);
    }
    expect(html).not.toMatch(/<script>|\son\w+=/);
    expect(await (await fetch(`${url}/docs/swagger-ui-init.js`)).text()).toContain('"validatorUrl": null');
  });

  it('has an AsyncAPI document beside it', async () => {
    const asyncApi = await service.json<{ channels: Record<string, object> }>('/docs/asyncapi.json');
    expect(asyncApiFaults(asyncApi)).toEqual([]);
    expect(asyncApi.channels.id).toMatchObject({ address: '/test/{id}', messages: { message: { payload: {} } } });
    const { headers } = await fetch(`${service.url}/docs/asyncapi.json`);
    expect(headers.get('content-type')).toMatch('application/json');
  });

  it('has the rules that the routes apply', async () => {
    const operations = Object.fromEntries(routesOf(document).map(({ operation }) => [operation.operationId, operation]));
    const schema = bodyOf(operations.publishMany as Operation)?.['application/json']?.schema as Schema;
    const feeds = ['a', 'a/b', 'A-z.0_9~:@', 'x'.repeat(200), 'x'.repeat(201), '', '/', 'a/', '/a', 'a//b', 'ü', 'a b', 'a\n', 'a*'];
    const types = ['t', 'ü €', 't'.repeat(200), 't'.repeat(201), '', 'a\nb', 'a\rb', 'a\0b', 'end', 'reset', 'error', 'ended'];
    const many = (length: number) => Array.from({ length }, (_, n) => `${n}`);
    const bodies: object[] = [
      ...feeds.map((feed) => ({ feeds: [feed], data: 1 })),
      ...types.map((type) => ({ feeds: ['a'], type, data: 1 })),
      ...[0, 1, 1000, 1001].map((length) => ({ feeds: many(length), data: 1 })),
      ...[0, 1, 1000, 1001].map((length) => ({ messages: many(length).map((feed) => ({ feed, data: 1 })) })),
      ...[{ feed: 'a' }, { data: 1 }, { feed: 'a', data: 1, key: 1 }, { feed: 'a', data: 1, more: 1 }].map((one) => ({ messages: [one] })),
      { messages: [{ feed: 'a', data: 1 }], feeds: ['a'], data: 1 },
      ...[null, '', [], {}, 1.5].map((data) => ({ feeds: ['a'], data })),
      ...[{ feeds: ['a'] }, { data: 1 }, { feeds: 'a', data: 1 }, { feeds: [1], data: 1 }, { feeds: ['a'], data: 1, more: 1 }, []],
    ];
    for (const body of bodies) {
      const { status } = await service.publish('/test', JSON.stringify(body), asJson);
      expect([body, status]).toEqual([body, fits(document, schema, body) ? 201 : 400]);
    }

    const parameters = (operations.publish as Operation).parameters as { name: string; schema: Schema }[];
    const schemaOf = (wanted: string) => parameters.find(({ name }) => name === wanted)?.schema as Schema;
    for (const end of ['', 'completed', 'failed', 'stopped', 'done', 'Completed']) {
      const { status } = await service.publish(`/test/end-${end}?end=${end}`, '', {});
      expect([end, status]).toEqual([end, fits(document, schemaOf('end'), end) ? 201 : 400]);
    }
    for (const expected of ['abc-1', 'abc-1/a', 'abc', 'latest', '']) {
      const { status } = await service.publish(`/test/a?expected=${encodeURIComponent(expected)}`, 'x');
      expect([expected, status]).toEqual([expected, fits(document, schemaOf('expected'), expected) ? 409 : 400]);
    }
    for (const key of ['k', 'k'.repeat(200), 'k'.repeat(201)]) {
      const { status } = await service.publish('/test/keys', 'x', { 'content-type': 'text/plain', 'idempotency-key': key });
      expect([key, status]).toEqual([key, fits(document, schemaOf('Idempotency-Key'), key) ? 201 : 400]);
    }

    const [id, , since] = (operations.followMany as Operation).parameters as { schema: Schema }[];
    const follow = async (...parameters: [string, string][]) => {
      const response = await fetch(`${service.url}/test?${new URLSearchParams(parameters)}`);
      await response.body?.cancel();
      await empty(service);
      return response.status;
    };
    for (const length of [0, 1, 100, 101]) {
      const status = await follow(...many(length).map((one): [string, string] => ['id', one]));
      expect([length, status]).toEqual([length, fits(document, id?.schema as Schema, many(length)) ? 200 : 400]);
    }
    const positions = ['abc-1', 'abc-1/a', 'abc-1/', 'abc-1x', 'abc', 'ABC-1', `abc-${'1'.repeat(17)}`];
    const lasts = ['-1', '-20', '-1000', '-1001', '-0', '-01', '-'];
    const day = '2026-01-31';
    const times = [`${day}T08:00:00Z`, `${day}T08:00:00.123+02:00`, `${day}T08:00Z`, day, `${day}T08:00:00`, `${day} 08:00:00Z`];
    for (const value of ['earliest', 'latest', '', ...positions, ...lasts, ...times]) {
      expect([value, await follow(['id', 'a'], ['since', value])]).toEqual([
        value,
        fits(document, since?.schema as Schema, value) ? 200 : 400,
      ]);
    }
  });
});

describe.each(platforms)('the document, of feeds that end, on %s', (platform) => {
  afterEach(() => Run.endAll());

  it('says how they answer, and how messages do that are rejected alone', async () => {
    const service = await start(platform, { FEED_INTERVAL_MS: '0' });
    const document = await service.json<Document>('/docs-json');
    const answer = (method: string, path: string, status: number) =>
      answersOf(routesOf(document).find((route) => route.method === method && route.path === path) as Route).find(
        (one) => one.status === status,
      ) as Answer;
    const ended = await service.publish('/test/over?end', '', {});
    const { id } = (await expectAnswer(document, ended, answer('post', '/test/{id}', 201))) as { id: string };
    const headers = { 'last-event-id': id };
    await expectAnswer(document, await fetch(`${service.url}/test/over`, { headers }), answer('get', '/test/{id}', 204));
    await expectAnswer(document, await fetch(`${service.url}/test?id=over`, { headers }), answer('get', '/test', 204));
    const messages = [
      { feed: 'over', data: 1 },
      { feed: 'a', data: 1 },
    ];
    const some = await service.publish('/test', JSON.stringify({ messages }), asJson);
    expect(await expectAnswer(document, some, answer('post', '/test', 207))).toMatchObject({
      messages: [{ code: 'FEED_ENDED' }, { feed: 'a' }],
    });
  });
});

/** Without keys for tokens and for operators, and with both. */
const environments: Record<string, string>[] = [{}, { FEED_JWT_SECRET: jwtSecret, FEED_TICKETS: 'on', FEED_ADMIN_KEY: adminKey }];

describe.each(platforms.flatMap((platform) => environments.map((env) => ({ platform, env }))))(
  'the document with %j',
  ({ platform, env }) => {
    let service: Served;
    let document: Document;
    beforeAll(async () => {
      service = await start(platform, env);
      document = await service.json('/docs-json');
    });
    afterAll(() => Run.endAll());
    afterEach(() => Peer.leaveAll());

    it('is valid, and its examples fit its schemas', () => {
      const routes = routesOf(document);
      expect(document.openapi).toBe('3.1.0');
      expect(new Set(routes.map(({ operation }) => operation.operationId)).size).toBe(routes.length);
      for (const [, name] of JSON.stringify(document).matchAll(/"#\/components\/schemas\/(\w+)"/g)) {
        expect(document.components?.schemas).toHaveProperty(name as string);
      }
      for (const route of routes) {
        const { summary, tags = [], security, parameters = [] } = route.operation;
        expect(summary).toBeTruthy();
        expect(document.tags?.map(({ name }) => name)).toEqual(expect.arrayContaining(tags));
        expect(security).toBeDefined();
        for (const scheme of security?.flatMap(Object.keys) ?? []) expect(document.components?.securitySchemes).toHaveProperty(scheme);
        const inPath = parameters.flatMap((parameter) => ('in' in parameter && parameter.in === 'path' ? [`{${parameter.name}}`] : []));
        for (const { status, codes, content } of answersOf(route).filter(({ status }) => status >= 400)) {
          expect({ status, isDocumented: codes.length > 0 || JSON.stringify(content).includes('/Health') }).toEqual({
            status,
            isDocumented: true,
          });
        }
        expect(route.path.match(/\{\w+\}/g) ?? []).toEqual(inPath);
        const shown = [
          ...parameters,
          ...[bodyOf(route.operation) ?? {}, ...answersOf(route).map(({ content }) => content)].flatMap(Object.values),
        ];
        for (const { schema, ...example } of shown as Content[string][]) {
          for (const [, value] of examplesOf({ any: example })) {
            expect([value, fits(document, schema as Schema, value)]).toEqual([value, true]);
          }
        }
      }
    });

    it('says how each route answers', async () => {
      for (const route of routesOf(document)) {
        const mediaTypes = Object.keys(bodyOf(route.operation) ?? {});
        for (const answer of answersOf(route)) {
          if (answer.status === 304) {
            const call = callOf(service.url, route, true, 'application/json');
            const { status } = await send({ ...call, headers: { ...call.headers, 'If-None-Match': '*' } });
            expect(status).toBe(304);
            continue;
          }
          if (answer.status < 400) {
            if (answer.status === 207 || (answer.status === 204 && route.method === 'get')) continue; // below
            const wanted = route.method === 'get' ? Object.keys(answer.content) : mediaTypes;
            for (const mediaType of wanted.length > 0 ? wanted : [undefined]) {
              for (const isWhole of [true, false]) {
                // It must have one parameter or another.
                if (!isWhole && route.operation.operationId === 'endConnections') continue;
                await expectAnswer(document, await send(callOf(service.url, route, isWhole, mediaType)), answer);
              }
            }
            continue;
          }
          for (const code of answer.codes) {
            // This service has no limits for clients; the broker, and the keys for tokens, are unavailable in the tests below.
            if (answer.status === 429 || (answer.status === 503 && (code === 'FEED_BROKER' || route.method !== 'get'))) continue;
            if (answer.status === 503) await fill(service);
            const call = callOf(service.url, route, true, mediaTypes[0]);
            await faults[code]?.(call);
            expect(await expectAnswer(document, await send(call), answer)).toMatchObject({ code });
            if (answer.status === 503) await empty(service);
          }
        }
        await empty(service);
      }
    });
  },
);

describe.each(platforms)('the document of a service on %s', (platform) => {
  afterEach(() => Run.endAll());

  it('has each route of the service, and no other', async () => {
    const service = await start(platform, { FEED_PATH: '/deep/path/' });
    const document = await service.json<Document>('/docs-json');
    const { name, version } = JSON.parse(await readFile('package.json', 'utf8'));
    expect(document.info).toMatchObject({ title: name, version });
    const routes = routesOf(document).map(({ method, path }) => `${method} ${path}`);
    expect(routes).toEqual([
      'get /deep/path/{id}',
      'post /deep/path/{id}',
      'delete /deep/path/{id}',
      'get /deep/path',
      'post /deep/path',
      'get /health',
      'get /health/live',
      'get /health/ready',
      'get /health/connections',
      'get /metrics',
    ]);
    const config = readConfig({ FEED_PATH: 'deep/path', FEED_DASHBOARD: 'off', FEED_ADMIN_KEY: adminKey });
    const { app } = await serve(platform, { imports: [AppModule.from(config)] });
    const found = routesOf(SwaggerModule.createDocument(app, new DocumentBuilder().build()));
    // An id in the path has a route for each number of segments, which the document of an application leaves out.
    const plain = found.map(({ method, path }) => `${method} ${path}`);
    const admin = ['get connections', 'delete connections', 'get revocations', 'post revocations', 'get feeds', 'get nodes'];
    const others = admin.map((route) => route.replace(' ', ' /admin/'));
    expect(plain.sort()).toEqual([...routes.filter((route) => !route.includes('/deep/path')), ...others].sort());
    await app.close();
  });

  it('has the ways to authorize that the service has', async () => {
    const env = { FEED_JWT_SECRETS: `${'a'.repeat(32)},${'b'.repeat(32)}`, FEED_TOKEN_IN_QUERY: 'off', FEED_TOKEN_COOKIE: 'c' };
    const schemes: Record<string, unknown>[] = [];
    for (const more of [{}, { FEED_TICKETS: 'on' }] as Record<string, string>[]) {
      const service = await start(platform, { ...env, ...more });
      const document = await service.json<Document>('/docs-json');
      schemes.push(document.components?.securitySchemes ?? {});
      expect(document.paths['/test/{id}']?.get?.security?.flatMap(Object.keys)).toEqual(Object.keys(schemes.at(-1) as object));
      expect('/tickets' in document.paths).toBe('FEED_TICKETS' in more);
    }
    expect(schemes.map(Object.keys)).toEqual([
      ['bearer', 'key', 'cookie'],
      ['bearer', 'key', 'cookie', 'ticket'],
    ]);
  });

  it('says how the service answers while it shuts down', async () => {
    const service = await start(platform, { FEED_BUFFER_BYTES: '1000000000', FEED_DRAIN_MS: '600000' });
    const document = await service.json<Document>('/docs-json');
    const [peer] = await fill(service);
    peer?.socket.pause();
    await until(async () => {
      await Promise.all(Array.from({ length: 64 }, () => service.publish('/test/full', 'x'.repeat(65_536))));
      return (await service.counts()).bufferedBytes > 0;
    });
    service.child.kill('SIGTERM');
    await until(async () => (await service.status('/health/ready')) === 503);
    // Who drains is alive: an orchestrator must not end it for that.
    const live = await retried(() => fetch(`${service.url}/health/live`));
    expect([live.status, live.headers.get('cache-control')]).toEqual([200, expect.stringContaining('no-store')]);
    expect(await live.json()).toEqual({ status: 'ok', info: {}, error: {}, details: {} });
    for (const route of routesOf(document).filter(
      ({ method, operation }) => method === 'get' && !['connections', 'live', 'metrics'].includes(operation.operationId ?? ''),
    )) {
      const answer = answersOf(route).find(({ status }) => status === 503) as Answer;
      await expectAnswer(document, await retried(() => send(callOf(service.url, route, true))), answer);
    }
  });

  it('says how the service answers while the message broker is unavailable', async () => {
    const service = await start(platform, { FEED_BROKER: 'redis://127.0.0.1:1', FEED_INTERVAL_MS: '0' });
    const document = await service.json<Document>('/docs-json');
    for (const route of routesOf(document).filter(({ operation }) => !operation.tags?.includes('health'))) {
      const answer = answersOf(route).find(({ status }) => status === 503) as Answer;
      const call = callOf(service.url, route, true, Object.keys(bodyOf(route.operation) ?? {})[0]);
      delete call.headers['Last-Event-ID'];
      expect(await expectAnswer(document, await send(call), answer)).toMatchObject({ code: 'FEED_BROKER', retryAfter: expect.any(Number) });
    }
  });

  it('says how the service answers while the keys for tokens cannot be fetched', async () => {
    const service = await start(platform, { FEED_JWKS_URL: 'http://127.0.0.1:1/keys' });
    const document = await service.json<Document>('/docs-json');
    for (const route of routesOf(document).filter(({ method }) => method === 'post')) {
      const answer = answersOf(route).find(({ status }) => status === 503) as Answer;
      const call = callOf(service.url, route, true, Object.keys(bodyOf(route.operation) ?? {})[0]);
      // Only for a token of the right kind are the keys asked for.
      call.headers.Authorization = `Bearer ${Buffer.from('{"alg":"RS256","kid":"1"}').toString('base64url')}.e30.AAAA`;
      expect(await expectAnswer(document, await send(call), answer)).toMatchObject({ code: 'FEED_UNAVAILABLE' });
    }
  });

  it('is not served where FEED_PATH uses its path', async () => {
    const service = await start(platform, { FEED_PATH: 'docs' });
    const peer = await Peer.get(service.port, '/docs/42');
    await peer.sees('welcomes');
    expect(service.err).toBe('/docs is not served: FEED_PATH uses the same path\n');
  });
});

describe('without the packages for the document', () => {
  afterEach(() => Run.endAll());

  it.each([
    ['express', '@nestjs/swagger', '@nestjs/swagger yaml'],
    ['express', 'yaml', '@nestjs/swagger yaml'],
    ['fastify', '@fastify/static', '@nestjs/swagger yaml @fastify/static'],
  ] as const)('the service runs on %s without %s, and warns', async (platform, missing, needed) => {
    const folder = await folderWithout(missing);
    const service = await start(platform, {}, folder);
    expect(await service.status('/docs')).toBe(404);
    expect(await service.status('/health')).toBe(200);
    expect(service.err).toBe(`/docs is not served: it needs npm install ${needed}\n`);
    await rm(folder, { recursive: true });
  });
});
