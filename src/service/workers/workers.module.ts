import { type DynamicModule, Global, Module } from '@nestjs/common';
import { Workers } from '../../health/workers.js';

/** Lets every module of the service ask the other workers. */
@Global()
@Module({})
export class WorkersModule {
  static of(workers: Workers): DynamicModule {
    return { module: WorkersModule, providers: [{ provide: Workers, useValue: workers }], exports: [Workers] };
  }
}
