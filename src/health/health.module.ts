import { type DynamicModule, Module } from '@nestjs/common';
import { TerminusModule } from '@nestjs/terminus';
import { decorated } from '../feed/http/decorated.js';
import { ConnectionCounts } from './connection-counts.js';
import { FeedHealthIndicator } from './feed.health-indicator.js';
import { HealthController } from './health.controller.js';
import { ProcessHealth } from './process-health.js';

const parts = {
  imports: [TerminusModule],
  providers: [FeedHealthIndicator, ProcessHealth, ConnectionCounts],
  exports: [FeedHealthIndicator, ConnectionCounts],
};

/**
 * Health routes at `/health`, for an application that imports `FeedModule`. If yours has a health check already, provide
 * `FeedHealthIndicator` instead: it needs `TerminusModule` and `FeedModule`.
 */
@Module({ ...parts, controllers: [HealthController] })
export class HealthModule {
  /** @param decorators put on the module's controller, such as the one with which your global guard knows public routes. Default: `[]` */
  static forRoot({ decorators = [] }: { decorators?: readonly ClassDecorator[] } = {}): DynamicModule {
    return { module: DecoratedHealthModule, ...parts, controllers: [decorated(HealthController, decorators)] };
  }
}

/** `HealthModule` has its own controller already. */
class DecoratedHealthModule {}
