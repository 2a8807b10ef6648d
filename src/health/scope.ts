import { BadRequestException, HttpStatus } from '@nestjs/common';

/** Which processes are counted: the one that answers, those that serve its port, or all that share its broker. */
export const scopes = ['worker', 'service', 'cluster'] as const;

/** The rule for `?scope=`, as the error tells it. */
export const scopeRule = `scope is ${scopes.slice(0, -1).join(', ')} or ${scopes.at(-1)}.`;

/** 400: `?scope=` names nothing that can be counted. */
export class HealthScopeException extends BadRequestException {
  readonly code = 'HEALTH_SCOPE';

  constructor(message: string) {
    super({ statusCode: HttpStatus.BAD_REQUEST, error: 'Bad Request', code: 'HEALTH_SCOPE', message });
  }
}
