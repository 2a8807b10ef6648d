import { BullModule } from '@nestjs/bullmq';
import { ClassSerializerInterceptor, Module, ValidationPipe } from '@nestjs/common';
import { APP_GUARD, APP_INTERCEPTOR, APP_PIPE } from '@nestjs/core';
import { PassportModule } from '@nestjs/passport';
import { ThrottlerGuard, ThrottlerModule } from '@nestjs/throttler';
import { instanceToPlain } from 'class-transformer';
import { ClsModule } from 'nestjs-cls';
import { FeedModule } from 'nestjs-feed';
import { HealthModule } from 'nestjs-feed/health';
import { LoggerModule } from 'nestjs-pino';
import { JwtGuard, JwtStrategy, Public, publishKey } from './jwt.js';
import { OrdersController } from './orders.controller.js';
import { OrdersGateway } from './orders.gateway.js';
import { TimeoutInterceptor } from './timeout.interceptor.js';

@Module({
  imports: [
    FeedModule.forRoot({
      drainMs: 0,
      path: 'feeds',
      publishKey,
      public: true,
      decorators: [Public()],
      serialize: instanceToPlain,
    }),
    HealthModule.forRoot({ decorators: [Public()] }),
    // Nothing is queued: it is there for what it installs and imports, ioredis 5 among it.
    BullModule.forRoot({ connection: { host: '127.0.0.1', port: 6379, lazyConnect: true } }),
    ClsModule.forRoot({ global: true, middleware: { mount: true, generateId: true } }),
    LoggerModule.forRoot({ pinoHttp: { level: 'silent' } }),
    PassportModule,
    ThrottlerModule.forRoot([{ ttl: 60_000, limit: 1000 }]),
  ],
  controllers: [OrdersController],
  providers: [
    JwtStrategy,
    OrdersGateway,
    { provide: APP_GUARD, useClass: JwtGuard },
    { provide: APP_GUARD, useClass: ThrottlerGuard },
    { provide: APP_INTERCEPTOR, useClass: ClassSerializerInterceptor },
    { provide: APP_INTERCEPTOR, useClass: TimeoutInterceptor },
    { provide: APP_PIPE, useValue: new ValidationPipe({ whitelist: true, forbidNonWhitelisted: true, transform: true }) },
  ],
})
export class AppModule {}
