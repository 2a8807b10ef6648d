import { SpanKind } from '@opentelemetry/api';
import { Peer } from '../support/peer.js';
import { Run } from '../support/run.js';
import { platforms } from '../support/serve.js';
import { until } from '../support/until.js';

/** A span as the application says it. */
interface Told {
  readonly scope: string;
  readonly name: string;
  readonly kind: SpanKind;
  readonly attributes: Record<string, unknown>;
  readonly traceId: string;
  readonly spanId: string;
  readonly parent?: string;
}

const traceId = '0af7651916cd43dd8448eb211c80319c';
const parent = 'b7ad6b7169203331';
const traceparent = `traceparent: 00-${traceId}-${parent}-01`;

afterEach(() => Run.endAll());

async function start(platform: string, env: Record<string, string> = {}) {
  const run = await Run.serving(['test/support/tracing/application.mjs'], /^http\S+\n/m, { PLATFORM: platform, ...env });
  const spans = () => Array.from(run.out.matchAll(/^span (.*)\n/gm), ([, json]) => JSON.parse(json as string) as Told);
  return { run, spans };
}

describe.each(platforms)('the trace of an opening on %s', (platform) => {
  it('is a server span that continues the one of the client, and ends at the head', async () => {
    const { run, spans } = await start(platform);
    const peer = await Peer.get(run.port, '/feeds/orders/7?format=sse&since=latest', traceparent);
    await peer.sees('\r\n\r\n');
    await until(() => spans().length > 0);
    expect(peer.socket.destroyed).toBe(false);
    expect(spans()).toMatchObject([
      {
        scope: 'nestjs-feed',
        kind: SpanKind.SERVER,
        name: 'open /feeds/:a/:b',
        traceId,
        parent,
        attributes: {
          'http.request.method': 'GET',
          'http.response.status_code': 200,
          'feed.destinations': ['orders/*'],
          'feed.format': 'sse',
          'feed.resumed': true,
        },
      },
    ]);
  });

  it.each([
    ['handed over', 'true'],
    ["left in Node's HTTP stack", 'false'],
  ])('is inside that of an instrumentation of HTTP, which ends as well, where the response is %s', async (_, HANDOVER) => {
    const { run, spans } = await start(platform, { INSTRUMENTED: 'yes', HANDOVER });
    const peer = await Peer.get(run.port, '/feeds/orders/7?format=sse', traceparent);
    await peer.sees('\r\n\r\n');
    await until(() => spans().length === 2);
    const [opening, request] = spans().toSorted((one, other) => one.kind - other.kind);
    expect(request).toMatchObject({ kind: SpanKind.SERVER, traceId, parent, attributes: { 'http.response.status_code': 200 } });
    expect(request?.scope).toContain('instrumentation-http');
    expect(opening).toMatchObject({ scope: 'nestjs-feed', kind: SpanKind.INTERNAL, traceId, parent: request?.spanId });

    await run.publish('/feeds/orders/7', 'still open');
    await peer.sees('data: still open');
    peer.leave();
    await run.stop(); // without a word of the SDK's
  });
});
