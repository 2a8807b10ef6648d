import type { INestApplication } from '@nestjs/common';
import { FEED_OPTIONS, type ResolvedFeedOptions } from '../../feed/feed.options.js';
import { setHeadersBelow } from '../headers-below.js';
import { asyncApiOf } from './asyncapi.js';

const page = '/docs';

/** Swagger's page has inline styles, with images in them. Everything else is loaded from this service alone. */
const policy =
  "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'";

/**
 * Serves the routes of the service as a page at `/docs` and as an OpenAPI document at `/docs-json`, if the packages for it are installed, and
 * its feeds as an AsyncAPI document at `/docs/asyncapi.json`.
 *
 * @param app the application, before it listens
 * @param feedPath the path of its feeds, without slashes at its ends
 * @param hasAdmin whether there are routes for operators
 * @returns warnings for the operator, where they are not served
 */
export async function serveDocs(app: INestApplication, feedPath: string, hasAdmin: boolean): Promise<string[]> {
  const path = `/${feedPath}`;
  if (/^\/docs(-json)?(\/|$)/.test(path)) return [`${page} is not served: FEED_PATH uses the same path`];
  // Before the page, whose files have paths below it. The options are there once the application is initialised.
  const adapter = app.getHttpAdapter();
  adapter.get(`${page}/asyncapi.json`, (_request: unknown, response: unknown) =>
    adapter.reply(response, asyncApiOf(path, app.get<ResolvedFeedOptions>(FEED_OPTIONS, { strict: false })), 200),
  );
  const isFastify = adapter.getType() === 'fastify';
  const packages = await loadPackages(isFastify);
  if (!packages) return [`${page} is not served: it needs npm install @nestjs/swagger yaml${isFastify ? ' @fastify/static' : ''}`];

  setHeadersBelow(app.getHttpServer(), page, { 'Content-Security-Policy': policy });
  const { SwaggerModule, documentOf } = packages;
  // A function, so that the document is made at the first request for it.
  const document = () => documentOf(path, app.get<ResolvedFeedOptions>(FEED_OPTIONS, { strict: false }), hasAdmin);
  SwaggerModule.setup(page, app, document, {
    raw: ['json'],
    customSiteTitle: 'nestjs-feed',
    swaggerOptions: {
      // By default the page shows a badge from another host.
      validatorUrl: null,
      // The page shows a response when it has ended, which that of a feed does not.
      supportedSubmitMethods: ['post', 'delete'],
    },
  });
  return [];
}

async function loadPackages(isFastify: boolean) {
  try {
    // Imported here, since Nest exits the process if it is missing.
    if (isFastify) await import('@fastify/static');
    const { SwaggerModule } = await import('@nestjs/swagger');
    const { documentOf } = await import('./document.js');
    return { SwaggerModule, documentOf };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_MODULE_NOT_FOUND') return undefined;
    throw error;
  }
}
