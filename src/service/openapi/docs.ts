import type { ServerResponse } from 'node:http';
import type { INestApplication } from '@nestjs/common';
import { FEED_OPTIONS, type ResolvedFeedOptions } from '../../feed/feed.options.js';
import { documentOf } from './document.js';

const page = '/docs';

/** Styles are in the page itself, and pictures in the styles; everything else comes from here, and nothing from elsewhere. */
const policy =
  "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'";

/**
 * Serves the service's routes as a page at `/docs` and as an OpenAPI document at `/docs-json`, where the packages for it are
 * installed: nobody needs them to serve feeds.
 *
 * @param app one that does not listen yet
 * @param feedPath where its feeds are
 * @returns why they are not served, where they are not: a line for whoever starts the service
 */
export async function serveDocs(app: INestApplication, feedPath: string): Promise<string[]> {
  const path = `/${feedPath.replace(/^\/|\/$/g, '')}`;
  if (/^\/docs(-json)?(\/|$)/.test(path)) return [`${page} is not served: FEED_PATH has the feeds there`];
  const isFastify = app.getHttpAdapter().getType() === 'fastify';
  const swagger = await loadSwagger(isFastify);
  if (!swagger) return [`${page} is not served: it needs npm install @nestjs/swagger${isFastify ? ' @fastify/static' : ''}`];

  app.use(page, (_request: unknown, response: ServerResponse, next: () => void) => {
    response.setHeader('Content-Security-Policy', policy);
    next();
  });
  // The document is made when somebody asks for it.
  const document = () => documentOf(path, app.get<ResolvedFeedOptions>(FEED_OPTIONS, { strict: false }));
  swagger.SwaggerModule.setup(page, app, document, {
    raw: ['json'],
    customSiteTitle: 'nestjs-feed',
    swaggerOptions: {
      // Otherwise the page shows a badge from a host of Swagger's.
      validatorUrl: null,
      // It shows a response once that has ended, which a feed's does not.
      supportedSubmitMethods: ['post'],
    },
  });
  return [];
}

async function loadSwagger(isFastify: boolean): Promise<typeof import('@nestjs/swagger') | undefined> {
  try {
    // Looked for here, since Nest ends the process that has not got it.
    if (isFastify) await import('@fastify/static');
    return await import('@nestjs/swagger');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_MODULE_NOT_FOUND') return undefined;
    throw error;
  }
}
