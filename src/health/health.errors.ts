import { BadRequestException, HttpStatus } from '@nestjs/common';

/** 400: `?scope=` names nothing that can be counted. */
export class HealthScopeException extends BadRequestException {
  readonly code = 'HEALTH_SCOPE';

  constructor(message: string) {
    super({ statusCode: HttpStatus.BAD_REQUEST, error: 'Bad Request', code: 'HEALTH_SCOPE', message });
  }
}
