import { BadRequestException, HttpStatus } from '@nestjs/common';

/** 400: `?scope=`, or its combination with `?id=`, is not supported. */
export class HealthScopeException extends BadRequestException {
  readonly code = 'HEALTH_SCOPE';

  constructor(message: string) {
    super({ statusCode: HttpStatus.BAD_REQUEST, error: 'Bad Request', code: 'HEALTH_SCOPE', message });
  }
}
