import { type DynamicModule, Global, Module } from '@nestjs/common';
import { Workers } from '../../health/workers.js';

/** Provides `Workers` to every module of the service. */
@Global()
@Module({})
export class WorkersModule {
  static of(workers: Workers): DynamicModule {
    return { module: WorkersModule, providers: [{ provide: Workers, useValue: workers }], exports: [Workers] };
  }
}
