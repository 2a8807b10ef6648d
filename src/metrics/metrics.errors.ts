import { BadRequestException, HttpStatus } from '@nestjs/common';

/** 400: `?scope=` names nothing that there are metrics of. */
export class MetricsScopeException extends BadRequestException {
  readonly code = 'METRICS_SCOPE';

  constructor() {
    super({
      statusCode: HttpStatus.BAD_REQUEST,
      error: 'Bad Request',
      code: 'METRICS_SCOPE',
      message: 'scope is worker (the process that answers) or service (all that serve its port).',
    });
  }
}
