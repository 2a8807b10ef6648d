import { HttpStatus, UnauthorizedException } from '@nestjs/common';

/** 401: the dashboard has a key, and the request has none or a wrong one. */
export class DashboardKeyException extends UnauthorizedException {
  readonly code = 'DASHBOARD_KEY';

  constructor() {
    super({
      statusCode: HttpStatus.UNAUTHORIZED,
      error: 'Unauthorized',
      code: 'DASHBOARD_KEY',
      message: 'The dashboard needs its key: send it as Authorization: Bearer, or enter it at /dashboard.',
    });
  }
}
