import type { IncomingMessage, ServerResponse } from 'node:http';
import { type DynamicModule, type MiddlewareConsumer, Module, type NestModule } from '@nestjs/common';
import { HealthModule } from '../../health/health.module.js';
import { DashboardController } from './dashboard.controller.js';
import { DashboardKey } from './dashboard.key.js';
import { DashboardOptions } from './dashboard.options.js';
import { DashboardService } from './dashboard.service.js';
import { DashboardFiles } from './dashboard-files.js';

/** Scripts, styles and images are loaded from this service alone; inline ones are not allowed. */
const policy = [
  "default-src 'none'",
  ...["script-src 'self'", "style-src 'self'", "img-src 'self'", "connect-src 'self'", "form-action 'self'"],
  ...["base-uri 'none'", "frame-ancestors 'none'"],
].join('; ');

/** The service's dashboard, at `/dashboard`. */
@Module({
  imports: [HealthModule],
  controllers: [DashboardController],
  providers: [DashboardKey, DashboardService, { provide: DashboardFiles, useFactory: () => DashboardFiles.read() }],
})
export class DashboardModule implements NestModule {
  static of(options: DashboardOptions): DynamicModule {
    return { module: DashboardModule, providers: [{ provide: DashboardOptions, useValue: options }] };
  }

  configure(consumer: MiddlewareConsumer): void {
    consumer.apply(harden).forRoutes(DashboardController);
  }
}

function harden(_request: IncomingMessage, response: ServerResponse, next: () => void): void {
  response.setHeader('Content-Security-Policy', policy);
  response.setHeader('X-Content-Type-Options', 'nosniff');
  response.setHeader('Referrer-Policy', 'no-referrer');
  response.setHeader('Cross-Origin-Resource-Policy', 'same-origin');
  next();
}
