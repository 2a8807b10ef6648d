import { type DynamicModule, Global, Module } from '@nestjs/common';
import { Siblings } from '../health/siblings.js';

/** Lets every module of the service ask the other workers. */
@Global()
@Module({})
export class WorkersModule {
  static of(siblings: Siblings): DynamicModule {
    return { module: WorkersModule, providers: [{ provide: Siblings, useValue: siblings }], exports: [Siblings] };
  }
}
