import { type AnyResponse, rawOf, routeOf } from '../http/adapter.js';
import type { FeedRequest } from '../http/feed-request.js';
import type { Destinations } from '../tracing/destinations.js';
import type { FeedTracer } from '../tracing/feed-tracer.js';
import type { Connection } from './connection.js';
import { FeedOpener } from './feed-opener.js';

/** Opens feeds, and has that traced up to the head: no trace lives as long as its connection. */
export class TracedOpener extends FeedOpener {
  constructor(
    private readonly tracer: FeedTracer,
    private readonly destinations: Destinations,
    ...context: ConstructorParameters<typeof FeedOpener>
  ) {
    super(...context);
  }

  override async open(
    request: FeedRequest,
    response: AnyResponse,
    options: Parameters<FeedOpener['open']>[2] = {},
  ): Promise<Connection | undefined> {
    const trace = this.tracer.open(request.raw, routeOf(request.framed).pattern, request.isResumed);
    try {
      const connection = await super.open(request, response, options);
      const { headersSent, statusCode } = rawOf(response);
      const feeds = options.feeds ?? request.told ?? connection?.feeds ?? [];
      trace.end({
        status: headersSent ? statusCode : undefined,
        destinations: [...new Set(feeds.map((feed) => this.destinations.of(feed)))],
        connection: connection && { format: request.format.name, isHandedOver: connection.isHandedOver },
      });
      return connection;
    } catch (error) {
      trace.fail(error);
      throw error;
    }
  }
}
