import { type CallHandler, type ExecutionContext, Injectable, type NestInterceptor } from '@nestjs/common';
import { catchError, type Observable, throwError } from 'rxjs';
import { withErrorHead } from '../feed/http/head.js';

/** Sets the headers that belong to an error: `Retry-After`, above all. */
@Injectable()
export class ErrorHeadersInterceptor implements NestInterceptor {
  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const response = context.switchToHttp().getResponse();
    return next.handle().pipe(catchError((error) => throwError(() => withErrorHead(error, response))));
  }
}
