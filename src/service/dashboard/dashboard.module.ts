import { type DynamicModule, Module, type OnModuleInit } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { HealthModule } from '../../health/health.module.js';
import { setHeadersBelow } from '../headers-below.js';
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
export class DashboardModule implements OnModuleInit {
  constructor(private readonly adapters: HttpAdapterHost) {}

  static of(options: DashboardOptions): DynamicModule {
    return { module: DashboardModule, providers: [{ provide: DashboardOptions, useValue: options }] };
  }

  onModuleInit(): void {
    setHeadersBelow(this.adapters.httpAdapter.getHttpServer(), '/dashboard', {
      'Content-Security-Policy': policy,
      'X-Content-Type-Options': 'nosniff',
      'Referrer-Policy': 'no-referrer',
      'Cross-Origin-Resource-Policy': 'same-origin',
    });
  }
}
