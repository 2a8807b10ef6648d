import compress from '@fastify/compress';
import fastifyCookie from '@fastify/cookie';
import fastifyHelmet from '@fastify/helmet';
import fastifySession from '@fastify/session';
import { type INestApplication, VersioningType } from '@nestjs/common';
import type { NestExpressApplication } from '@nestjs/platform-express';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { DocumentBuilder, SwaggerModule } from '@nestjs/swagger';
import compression from 'compression';
import cookieParser from 'cookie-parser';
import session from 'express-session';
import helmet from 'helmet';
import { Logger } from 'nestjs-pino';

const secret = 'at least thirty-two characters of the session';

/** What stands in front of many an application. */
export async function configure(app: INestApplication, platform: string) {
  app.useLogger(app.get(Logger));
  app.enableShutdownHooks();
  app.setGlobalPrefix('api');
  app.enableVersioning({ type: VersioningType.URI });
  app.enableCors({ origin: ['http://shop.test'], credentials: true });
  if (platform === 'express') {
    const express = app as NestExpressApplication;
    express.use(helmet(), compression(), cookieParser(), session({ secret, resave: false, saveUninitialized: true }));
  } else {
    const fastify = app as NestFastifyApplication;
    await fastify.register(fastifyHelmet as never);
    await fastify.register(compress as never);
    await fastify.register(fastifyCookie as never);
    await fastify.register(fastifySession as never, { secret, cookie: { secure: false } } as never);
  }
  return app;
}

export function documentOf(app: INestApplication) {
  return SwaggerModule.createDocument(app, new DocumentBuilder().setTitle('Shop').setVersion('1').addBearerAuth().build());
}
