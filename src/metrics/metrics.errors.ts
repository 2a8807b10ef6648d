import { BadRequestException, HttpStatus } from '@nestjs/common';

/** 400: `?scope=` is unknown. */
export class MetricsScopeException extends BadRequestException {
  readonly code = 'METRICS_SCOPE';

  constructor() {
    super({
      statusCode: HttpStatus.BAD_REQUEST,
      error: 'Bad Request',
      code: 'METRICS_SCOPE',
      message: 'scope is worker (the process that responds) or service (all workers of its port).',
    });
  }
}
